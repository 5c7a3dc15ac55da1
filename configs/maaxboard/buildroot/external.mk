include $(sort $(wildcard $(BR2_EXTERNAL_USBROUTED_PATH)/package/*/*.mk))
