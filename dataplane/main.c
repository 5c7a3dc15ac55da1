/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbrouted-vm: the process of one VM. usbrouted's starter starts it, with the line to control as
 * descriptor 3; nobody else can use it.
 *
 * Before it hears a word, it shuts itself in (enclose.h). It gets over the line what it works with.
 */
#include <build_info.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/code_pages.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/options.h"
#include "base/output.h"
#include "base/sandbox.h"
#include "base/stranger.h"
#include "dataplane/control_line.h"
#include "dataplane/enclose.h"
#include "usb/usb_backend.h"
#include "usb/usb_device.h"

#define EXIT_CANNOT 1
#define EXIT_USAGE  2
#define LINE_FD	    3

/* As in usbrouted: large buffers go back to the system when they are freed. */
#define GIVEN_BACK (256 * 1024)

/*
 * What a device can be driven by; the first that can use its descriptor does. With the build option
 * scripted-devices there is a script, too (tests/unit/script-node.h). It is for tests, and never
 * installed.
 */
#ifdef SCRIPTED_DEVICES
extern const struct usb_backend_ops usb_backend_script;
#endif
static const struct usb_backend_ops *const backends[] = {
#ifdef SCRIPTED_DEVICES
	&usb_backend_script,
#endif
	&usb_backend_libusb,
	&usb_backend_direct,
	NULL,
};

static bool is_line(int fd)
{
	int type = 0, domain = 0;
	socklen_t len = sizeof(type), domain_len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 &&
	       domain == AF_UNIX;
}

static int serve(bool lan)
{
	struct control_line *line;
	struct loop *loop;
	bool more = false;
	int r = loop_new(&loop);

	if (r < 0) {
		log_err("io_uring: %s", errno_text(r));
		return EXIT_CANNOT;
	}
	usb_device_use(backends);
	r = usb_device_library_init();
	if (r == 0)
		r = control_line_new(&line, loop, LINE_FD, lan);
	if (r == 0)
		r = sandbox_calls(lan ? SANDBOX_LAN : SANDBOX_VM);
	if (r < 0) {
		log_err("starting: %s", errno_text(r));
		return EXIT_CANNOT;
	}
	code_pages_give_back();
	while (control_line_serve(line, &more))
		;
	/* A stuck call keeps what it has; nothing waits for that. */
	_exit(0);
}

static int run(int argc, char **argv)
{
	const char *vm = NULL;
	bool lan = false;
	const struct option_row rows[] = {
		{"lan", .help = "the LAN export's process, and no virtual machine's", .flag = &lan},
	};
	const struct options options = {
		.program = "usbrouted-vm",
		.version = USBROUTED_VERSION,
		.begins = "usbrouted-vm",
		.usage =
			"usage: usbrouted-vm [--lan] NAME\n"
			"\n"
			"The process of one virtual machine, NAME. usbrouted starts it; nothing else can.\n",
		.rows = rows,
		.n = ARRAY_SIZE(rows),
		.word = "NAME",
		.ret_word = &vm,
	};
	char name[16];
	int r = options_read(&options, argc, argv);

	if (r != OPTIONS_GOOD)
		return r == OPTIONS_SHOWN ? 0 : EXIT_USAGE;
	if (!is_line(LINE_FD)) {
		fputs("usbrouted-vm: it is started by usbrouted, and by nothing else\n", stderr);
		return EXIT_USAGE;
	}
	log_init(LOG_LEVEL_INFO);
	fcntl(LINE_FD, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	mallopt(M_MMAP_THRESHOLD, GIVEN_BACK);
	mallopt(M_TRIM_THRESHOLD, GIVEN_BACK);
	enclose(vm);
	/* Its closer is forked now, and so is shut in, too. */
	r = strangers_start(NULL);
	if (r < 0) {
		log_err("starting: %s", errno_text(r));
		return EXIT_CANNOT;
	}
	/* A process with this name has shut itself in. */
	snprintf(name, sizeof(name), "vm:%.12s", vm);
	prctl(PR_SET_NAME, name);
	r = sandbox_calls(SANDBOX_VM_START);
	if (r < 0)
		log_warning("%s: its process may make every system call: %s", vm, errno_text(r));
	return serve(lan);
}

int main(int argc, char **argv)
{
	output_init();
	return output_end("usbrouted-vm", run(argc, argv));
}
