################################################################################
#
# usbroute-agent
#
################################################################################

# A program that is built already: BR2_PACKAGE_USBROUTE_AGENT_FILE.
USBROUTE_AGENT_VERSION = 0.1.0
USBROUTE_AGENT_SOURCE =
USBROUTE_AGENT_LICENSE = BSD-2-Clause

define USBROUTE_AGENT_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(call qstrip,$(BR2_PACKAGE_USBROUTE_AGENT_FILE)) $(TARGET_DIR)/usr/sbin/usbroute-agent
endef

define USBROUTE_AGENT_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(USBROUTE_AGENT_PKGDIR)/S45usbroute-agent $(TARGET_DIR)/etc/init.d/S45usbroute-agent
endef

define USBROUTE_AGENT_LINUX_CONFIG_FIXUPS
	$(call KCONFIG_ENABLE_OPT,CONFIG_USBIP_CORE)
	$(call KCONFIG_ENABLE_OPT,CONFIG_USBIP_VHCI_HCD)
endef

$(eval $(generic-package))
