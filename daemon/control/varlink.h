/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Varlink (varlink.org) as the control socket speaks it: messages between NUL bytes, calls,
 * replies, errors, and the interface org.varlink.service. Over memory: the socket is the caller's.
 * Bounds of the contract: a message of at most 64 KiB, nesting of at most 16.
 *
 * The framing, which the client in ctl/ needs too, is protocol/varlink_wire.[ch].
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct varlink_call {
	char *method;	    /* "io.usbrouted.List" */
	json_t *parameters; /* always an object */
	bool oneway, more;
};

/* Outcomes of varlink_call_parse(). */
enum { VARLINK_BAD = 1 /* no JSON, or no call: close the connection */ };

/* Outcomes of varlink_service_call(). */
enum { VARLINK_NOT_SERVICE = 1 /* a method of the daemon's own interface: the caller's */ };

int varlink_call_parse(struct varlink_call *ret_call, const char *message, size_t len);
void varlink_call_deinit(struct varlink_call *call);

/* The most bytes of a string that comes from a caller, or is made of such ones. */
#define VARLINK_TEXT_MAX 4096

json_t *varlink_text(const char *text);
int varlink_reply_more(char **ret_message, size_t *ret_len, json_t *parameters);
int varlink_reply(char **ret_message, size_t *ret_len, json_t *parameters);
int varlink_error(char **ret_message, size_t *ret_len, const char *error, json_t *parameters);
int varlink_method_not_found(char **ret_message, size_t *ret_len, const char *method);
int varlink_invalid_parameter(char **ret_message, size_t *ret_len, const char *parameter);
int varlink_service_call(const struct varlink_call *call, const char *interface_name,
			 const char *interface_text, char **ret_message, size_t *ret_len);
