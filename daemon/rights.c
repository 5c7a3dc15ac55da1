/* SPDX-License-Identifier: BSD-2-Clause */
/* The rights of control; see rights.h. */
#include "daemon/rights.h"

#include <build_info.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/config/policy_files.h"

/**
 * rights_find_user() - find the user that control will be
 * @ret_user:	the user
 * @name:	its name; NULL: the usual one
 *
 * Without a user of the usual name it is root, without capabilities, and with no more rights than
 * its stage. The unit does not let that happen. Started by hand it is to work, and that is logged.
 *
 * Return: 0; a negative errno, and it was logged.
 */
int rights_find_user(struct sandbox_user *ret_user, const char *name)
{
	int r = sandbox_user_find(ret_user, name ? name : RIGHTS_USER);

	if (r == -ENOENT && !name) {
		log_warning(
			"there is no user \"" RIGHTS_USER
			"\": running as root, without capabilities; try: systemd-sysusers, or useradd --system --user-group " RIGHTS_USER
			", and start it anew");
		*ret_user = (struct sandbox_user){0, 0};
		return 0;
	}
	if (r == -ENOENT)
		log_err("--user: there is no user \"%s\"", name);
	return r;
}

/* ------------------------------------------------------------- folders */

/* All files that any version of this program has made in its folders. */
static bool is_ours(const char *name)
{
	static const char *const names[] = {"wishes",	 "claimed",  "unpowered", "sessions",
					    "lock",	 "control",  "libvirt",	  "assignments",
					    "cards",	 "reserved", "names",	  "bearers",
					    "addresses", "twins",    NULL};
	size_t n = strlen(name);

	if (n > 4 && !strcmp(name + n - 4, ".new"))
		n -= 4;
	if (n > 5 && (!strncmp(name + n - 5, ".sock", 5) || !strncmp(name + n - 5, ".line", 5)))
		return true;
	for (unsigned i = 0; names[i]; i++)
		if (strlen(names[i]) == n && !strncmp(names[i], name, n))
			return true;
	return false;
}

/*
 * Give away one file of a folder that is root's: nobody else can have put it there, or change it
 * meanwhile. Anything but a plain file stays as it is; sockets are made anew.
 */
static int give_file(int folder, const char *name, const struct sandbox_user *user)
{
	_cleanup_close_ int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return 0;
	return fchownat(fd, "", user->uid, user->gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int give_files(int folder, const char *path, const struct sandbox_user *user)
{
	_cleanup_close_ int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	take_fd(&copy);
	while (r == 0 && (e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (is_ours(e->d_name)) {
			r = give_file(folder, e->d_name, user);
			continue;
		}
		log_err("%s: expected a folder of usbrouted's own; it has \"%s\" in it, and is not given away",
			path, e->d_name);
		r = -ENOTEMPTY;
	}
	closedir(dir);
	return r;
}

/* The files come first: as long as the folder is root's, this can be done again. */
static int give_folder(int folder, const char *path, const struct sandbox_user *user)
{
	struct stat st;
	int r;

	if (fstat(folder, &st) < 0)
		return -errno;
	if (geteuid() != 0 || st.st_uid == user->uid)
		return 0;
	if (st.st_uid != 0) {
		log_err("%s: expected a folder of root or of user %u; found one of user %u; try: chown -R %u:%u %s",
			path, user->uid, st.st_uid, user->uid, user->gid, path);
		return -EPERM;
	}
	r = give_files(folder, path, user);
	if (r == 0 && fchown(folder, user->uid, user->gid) < 0)
		r = -errno;
	return r;
}

static int take_folder(const char *path, const struct sandbox_user *user)
{
	bool made = mkdir(path, 0755) == 0;
	_cleanup_close_ int fd = -1;

	if (!made && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (made && fchmod(fd, 0755) < 0)
		return -errno;
	return give_folder(fd, path, user);
}

/**
 * rights_take_folders() - make the runtime and the state folder, and give them to the user
 * @config:	which they are
 * @user:	whose they will be, with the files in them that root has made; where we are root
 *
 * No link is followed beneath a folder, and a folder that has others' files in it is not given away.
 *
 * Return: 0, or a negative errno and it was logged.
 */
int rights_take_folders(const struct config *config, const struct sandbox_user *user)
{
	const char *path = config->runtime_directory;
	int r = take_folder(path, user);

	if (r == 0) {
		path = config->state_directory;
		r = take_folder(path, user);
	}
	if (r < 0 && r != -ENOTEMPTY && r != -EPERM)
		log_err("%s: %s", path, errno_text(r));
	return r;
}

/* ------------------------------------------------------------- whose it is */

/* Warn of files that root could read, and a reload can't. */
static void check_readable(const char *config_file)
{
	const char *file = config_file ? config_file : USBROUTED_CONFIG;

	if (access(file, R_OK) < 0 && errno == EACCES)
		log_warning(
			"%s: a reload can't read it as the user that usbrouted has become; try: chgrp " RIGHTS_USER
			" %s && chmod g+r %s",
			file, file, file);
}

/**
 * rights_become() - be the user that control is, where we are root
 * @user:		whom
 * @socket_group:	a group that it is in, too, or -1. A file may be given to a group by its owner
 *			who is in it: that is how sockets of VMs that come later get theirs
 * @config_file:	what a reload will read; NULL: the usual one
 *
 * Return: 0, or a negative errno and it was logged.
 */
int rights_become(const struct sandbox_user *user, gid_t socket_group, const char *config_file)
{
	int r;

	if (geteuid() != 0)
		return 0;
	r = sandbox_become(user, &socket_group, socket_group != (gid_t)-1);
	if (r < 0)
		log_err("becoming user %u: %s", user->uid, errno_text(r));
	else
		check_readable(config_file);
	return r;
}

/* ------------------------------------------------------------- what it keeps */

/*
 * Names of users and groups may come from libraries that libc loads: load them now, for later it
 * can't.
 */
static void load_name_services(void)
{
	getpwnam("usbrouted-nobody");
	getgrnam("usbrouted-nobody");
}

/* The folder of the configuration, where it really is. */
static void config_folder(char folder[PATH_MAX], const char *config_file)
{
	char *slash;

	if (!realpath(config_file ? config_file : USBROUTED_CONFIG, folder))
		snprintf(folder, PATH_MAX, "%s", config_file ? config_file : USBROUTED_CONFIG);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = 0;
	else
		snprintf(folder, PATH_MAX, ".");
}

/**
 * rights_give_up() - keep what control needs when it serves, and no more
 * @config:		its folders
 * @config_file:	what a reload will read; NULL: the usual one
 *
 * Call it when everything is open that is opened only once, and before the first thread.
 *
 * Return: 0, or a negative errno and it was logged.
 */
int rights_give_up(const struct config *config, const char *config_file)
{
	char folder[PATH_MAX];
	const struct sandbox_path paths[] = {
		{config->runtime_directory, SANDBOX_OWN},
		{config->state_directory, SANDBOX_OWN},
		{folder, SANDBOX_READ}, /* and policy.d in it */
		{"/etc", SANDBOX_READ}, /* links to files elsewhere in it; users and groups */
		{"/usr", SANDBOX_READ}, /* the hardware database */
		{"/lib", SANDBOX_READ},
		{"/sys", SANDBOX_READ},
		{"/proc", SANDBOX_READ},
		{"/run/udev", SANDBOX_READ},
		{"/run/systemd", SANDBOX_READ}, /* users of systemd's making */
		{"/var/lib/extrausers", SANDBOX_READ},
	};
	int r;

	load_name_services();
	config_folder(folder, config_file);
	r = sandbox_keep_caps(0);
	if (r == 0)
		r = sandbox_files(paths, ARRAY_SIZE(paths));
	if (r == 0)
		r = sandbox_calls(SANDBOX_CONTROL);
	if (r < 0)
		log_err("dropping rights: %s", errno_text(r));
	return r;
}
