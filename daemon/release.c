/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbrouted --release`; see release.h. */
#include "daemon/release.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/broker_device.h"
#include "daemon/claims.h"

/* Whether a daemon is at work on this folder: then its devices are not ours to give. */
static bool daemon_runs(const char *runtime_directory)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.99s/control", runtime_directory);
	return sock >= 0 && connect(sock, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/**
 * release_claimed() - give back what is on the list of claimed devices, and empty the list
 * @runtime_directory:	where the list lies
 *
 * Return: 0, or a negative errno and it was logged.
 */
int release_claimed(const char *runtime_directory)
{
	struct list claims = LIST_INIT(claims);
	char path[PATH_MAX];
	const char *text;
	int r, failed = 0;

	if (daemon_runs(runtime_directory)) {
		log_err("usbrouted is running; try: usbroutectl detach DEVICE");
		return -EBUSY;
	}
	r = claims_load(runtime_directory, &claims);
	if (r < 0) {
		log_err("reading the list of claimed devices: %s", errno_text(r));
		return r;
	}
	list_for_each(it, &claims) {
		const struct broker_device *d = &list_entry(it, struct claim, link)->device;

		r = broker_device_probe(d, &text);
		if (r == 0)
			log_info("%s: given back to the host's drivers", d->busid);
		else if (r != -ENODEV) /* unplugged meanwhile: nothing to give back */
			log_err("%s: %s: %s", d->busid, text, errno_text(failed = r));
	}
	claims_clear(&claims);
	if (!failed)
		unlink(daemon_path(path, sizeof(path), runtime_directory, "claimed"));
	return failed;
}
