/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbroutectl` itself, run with a daemon that a test plays: one call, one reply. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/mem.h"

#define DEVICE                                                                                \
	"{\"alias\":\"keyboard\",\"id\":\"046d:c31c\",\"serial\":null,\"port\":\"1-1.2\","    \
	"\"stable_port\":\"0000:00:14.0/usb2:1.2\",\"busid\":\"1-1.2\",\"manufacturer\":"     \
	"\"Logitech\",\"product\":\"Logitech K\\u001b[2J\",\"speed\":\"low\",\"classes\":"    \
	"[\"hid\",\"hid.keyboard\"],\"wanted\":\"vm1\",\"wanted_by\":\"command\",\"actual\":" \
	"\"host\",\"state\":\"pending\",\"reason\":\"vm1 is not connected\"}"
#define STICK                                                                                      \
	"{\"alias\":null,\"id\":\"0951:1666\",\"serial\":\"E0D5\",\"port\":\"2-2\","               \
	"\"stable_port\":\"0000:00:14.0/usb3:2\",\"busid\":\"2-2\",\"manufacturer\":\"Kingston\"," \
	"\"product\":null,\"speed\":\"super\",\"classes\":[\"storage\"],\"wanted\":\"host\","      \
	"\"wanted_by\":\"default\",\"actual\":\"host\",\"state\":\"present\",\"reason\":null}"
#define VMS                                                                                        \
	"{\"parameters\":{\"vms\":[{\"name\":\"vm1\",\"mac\":\"52:54:00:77:00:0b\",\"domain\":"    \
	"null,"                                                                                    \
	"\"socket\":\"/run/usbrouted/vm1.sock\"},{\"name\":\"vm2\",\"mac\":null,\"domain\":\"win " \
	"10\","                                                                                    \
	"\"socket\":\"/run/usbrouted/vm2.sock\"}]}}"
/* One with a card on a further network. */
#define VM_WITH_CARDS                                                                         \
	"{\"parameters\":{\"vms\":[{\"name\":\"vm1\",\"socket\":\"/run/usbrouted/vm1.sock\"," \
	"\"cards\":[{\"network\":\"lan\",\"socket\":\"/run/usbrouted/vm1.lan.sock\","         \
	"\"mac\":\"52:54:00:78:00:0b\"},{\"network\":\"inner\",\"socket\":"                   \
	"\"/run/usbrouted/vm1.inner.sock\",\"mac\":null}]}]}}"
#define ERROR(name, parameters) \
	"{\"error\":\"io.usbrouted." name "\",\"parameters\":" parameters "}"
#define CALL(method, parameters) \
	"{\"method\":\"io.usbrouted." method "\",\"parameters\":" parameters "}"
#define MORE(method) "{\"method\":\"io.usbrouted." method "\",\"parameters\":{},\"more\":true}"

/* One run of it. */
struct ctl_run {
	const char *args[8];
	const char *call;  /* NULL: it does not even connect */
	const char *reply; /* NULL: the connection is closed */
	int status;
	const char *out, *err; /* err: how it begins */
};

extern char socket_path[64], helper_path[64];
extern char snippet[4096];

_Noreturn void run_program(const char *const *args);
pid_t start(const char *const *args, int *ret_out, int *ret_err);
void serve_begin(const char *call);
void serve_end(const char *reply);
void serve(const char *call, const char *reply);
void run_each(const struct ctl_run *runs, size_t n);
void read_all(int fd, char *text, size_t size);
int daemon_begin(const char *folder);
void daemon_end(void);
int setup(void **state);
int teardown(void **state);
