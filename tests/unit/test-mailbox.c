/* SPDX-License-Identifier: BSD-2-Clause */
/* Letters: order of one sender, none lost among many senders, a letter may be sent again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/mailbox.h"
#include "base/mem.h"

#define SENDERS 4
#define LETTERS 2000

struct numbered {
	struct letter letter;
	unsigned sender, number;
};

static struct mailbox box;
static struct numbered letters[SENDERS][LETTERS];
static unsigned next_of[SENDERS], delivered;

static void deliver(struct letter *l)
{
	struct numbered *n = container_of(l, struct numbered, letter);

	assert_int_equal(n->number, next_of[n->sender]);
	next_of[n->sender]++;
	delivered++;
}

static void *send_all(void *arg)
{
	unsigned sender = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < LETTERS; i++) {
		letters[sender][i] = (struct numbered){.sender = sender, .number = i};
		mailbox_post(&box, &letters[sender][i].letter, deliver);
	}
	return NULL;
}

static void many_senders_lose_nothing(void **state _unused_)
{
	pthread_t t[SENDERS];

	assert_int_equal(mailbox_init(&box), 0);
	for (unsigned i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, send_all, (void *)(uintptr_t)i), 0);
	while (delivered < SENDERS * LETTERS) {
		struct pollfd p = {.fd = box.wake, .events = POLLIN};
		eventfd_t v;

		/* A box that is not empty must be awake: a lost wake-up would hang here. */
		assert_int_equal(poll(&p, 1, 30000), 1);
		eventfd_read(box.wake, &v);
		mailbox_deliver(&box);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(mailbox_deliver(&box), 0);
	mailbox_deinit(&box);
}

static void note_arrival(struct letter *l)
{
	delivered++;
}

static void *send_one(void *arg)
{
	mailbox_post(&box, arg, note_arrival);
	return NULL;
}

/* The owner reads the letter and closes the box while its sender is still inside (for TSan). */
static void a_box_may_close_as_soon_as_its_last_letter_is_read(void **state _unused_)
{
	for (unsigned i = 0; i < 500; i++) {
		struct letter l;
		pthread_t t;

		assert_int_equal(mailbox_init(&box), 0);
		delivered = 0;
		assert_int_equal(pthread_create(&t, NULL, send_one, &l), 0);
		while (!delivered)
			mailbox_deliver(&box);
		mailbox_deinit(&box);
		pthread_join(t, NULL);
	}
}

static unsigned again_left;

static void deliver_again(struct letter *l)
{
	if (again_left--)
		mailbox_post(&box, l, deliver_again);
}

static void a_letter_may_be_sent_again_while_it_is_delivered(void **state _unused_)
{
	struct letter l;
	unsigned turns = 0;

	assert_int_equal(mailbox_init(&box), 0);
	again_left = 3;
	mailbox_post(&box, &l, deliver_again);
	while (mailbox_deliver(&box))
		turns++;
	assert_int_equal(turns, 4);
	mailbox_deinit(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_senders_lose_nothing),
		cmocka_unit_test(a_box_may_close_as_soon_as_its_last_letter_is_read),
		cmocka_unit_test(a_letter_may_be_sent_again_while_it_is_delivered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
