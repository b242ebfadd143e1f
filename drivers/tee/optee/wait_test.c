// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of what calls wait for: a thread in secure world, an event, or the
 * supplicant; and of how long the shutdown waits for memory
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/tee_core.h>
#include <linux/workqueue.h>
#include "optee_private.h"

/* More than any of the waits that should end by themselves, in ms */
#define LONG_MS		5000
/* A call that is in secure world for longer than others wait without hope */
#define CALL_MS		1000

/**
 * struct caller - a call that secure world has no thread for
 * @cq:		the queue it is in
 * @retries:	how often to try again before it has a thread, or 0 if never
 * @rc:		how it ended
 * @queued:	it is in the queue
 * @go:		the others are, too
 * @done:	it ended
 */
struct caller {
	struct optee_call_queue *cq;
	int retries;
	int rc;
	struct completion queued;
	struct completion go;
	struct completion done;
};

static int caller_fn(void *data)
{
	struct caller *caller = data;
	struct optee_call_waiter w;
	int n = 0;

	optee_cq_wait_init(caller->cq, &w, false);
	complete(&caller->queued);
	wait_for_completion(&caller->go);
	do
		caller->rc = optee_cq_wait_for_completion(caller->cq, &w);
	while (!caller->rc && ++n != caller->retries);
	optee_cq_wait_final(caller->cq, &w);
	complete(&caller->done);

	return 0;
}

/* Not freed if the test fails, since the thread may be waiting for ever */
static struct caller *caller_start(struct kunit *test, struct optee_call_queue *cq,
				   int retries)
{
	struct caller *caller = kzalloc_obj(*caller);

	KUNIT_ASSERT_NOT_NULL(test, caller);
	caller->cq = cq;
	caller->retries = retries;
	init_completion(&caller->queued);
	init_completion(&caller->go);
	init_completion(&caller->done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(caller_fn, caller, "optee-caller")));

	return caller;
}

static int caller_end(struct kunit *test, struct caller *caller)
{
	unsigned long left = wait_for_completion_timeout(&caller->done,
							 msecs_to_jiffies(LONG_MS));
	int rc;

	KUNIT_ASSERT_NE_MSG(test, left, 0, "still waits for a thread");
	rc = caller->rc;
	kfree(caller);

	return rc;
}

static struct optee_call_queue *queue(struct kunit *test, int threads)
{
	struct optee_call_queue *cq = kzalloc_obj(*cq);

	KUNIT_ASSERT_NOT_NULL(test, cq);
	optee_cq_init(cq, threads);

	return cq;
}

/* Calls without a thread give up, as nobody is going to complete them. */
static void no_thread_for(struct kunit *test, int num_callers)
{
	struct optee_call_queue *cq = queue(test, 0);
	struct caller *callers[3];
	int n;

	for (n = 0; n < num_callers; n++) {
		callers[n] = caller_start(test, cq, 0);
		wait_for_completion(&callers[n]->queued);
	}
	for (n = 0; n < num_callers; n++)
		complete(&callers[n]->go);
	for (n = 0; n < num_callers; n++)
		KUNIT_EXPECT_EQ(test, caller_end(test, callers[n]), -EBUSY);
	KUNIT_EXPECT_TRUE(test, list_empty(&cq->waiters));
	kfree(cq);
}

static void no_thread_for_one(struct kunit *test)
{
	no_thread_for(test, 1);
}

static void no_thread_for_three(struct kunit *test)
{
	no_thread_for(test, 3);
}

/* A call that comes when the threads are counted, and none is left, waits too. */
static void no_thread_counted(struct kunit *test)
{
	struct optee_call_queue *cq = queue(test, 1);
	struct caller *first = caller_start(test, cq, 0);
	struct caller *second;

	wait_for_completion(&first->queued);
	second = caller_start(test, cq, 0);
	/* It goes on to wait in optee_cq_wait_init() */
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&second->queued,
							  msecs_to_jiffies(50)), 0);
	complete(&second->go);
	complete(&first->go);
	KUNIT_EXPECT_EQ(test, caller_end(test, first), -EBUSY);
	KUNIT_EXPECT_EQ(test, caller_end(test, second), -EBUSY);
	kfree(cq);
}

/* As long as a call has a thread, others wait for it however long it takes. */
static void thread_in_use(struct kunit *test)
{
	struct optee_call_queue *cq = queue(test, 0);
	struct optee_call_waiter inside;
	struct caller *caller;

	optee_cq_wait_init(cq, &inside, false);
	caller = caller_start(test, cq, 1);
	complete(&caller->go);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&caller->done,
							  msecs_to_jiffies(CALL_MS)), 0);
	optee_cq_wait_final(cq, &inside);
	KUNIT_EXPECT_EQ(test, caller_end(test, caller), 0);
	kfree(cq);
}

/* One call has the thread there is, one waits when the machine goes down, one comes then. */
static void turned_away(struct kunit *test, struct optee_call_queue *cq)
{
	struct optee_call_waiter inside;
	struct caller *before, *after;

	optee_cq_wait_init(cq, &inside, false);
	before = caller_start(test, cq, 0);
	complete(&before->go);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&before->done,
							  msecs_to_jiffies(50)), 0);
	optee_cq_going_down(cq);
	after = caller_start(test, cq, 0);
	complete(&after->go);
	KUNIT_EXPECT_EQ(test, caller_end(test, before), -EBUSY);
	KUNIT_EXPECT_EQ(test, caller_end(test, after), -EBUSY);
	optee_cq_wait_final(cq, &inside);
	KUNIT_EXPECT_TRUE(test, list_empty(&cq->waiters));
}

static void thread_in_use_going_down(struct kunit *test)
{
	struct optee_call_queue *cq = queue(test, 0);

	turned_away(test, cq);
	kfree(cq);
}

/* They are not turned away at once: a call may end, and leave its thread. */
static void thread_asked_for_going_down(struct kunit *test)
{
	struct optee_call_queue *cq = queue(test, 0);
	struct optee_call_waiter inside;
	struct caller *caller;

	optee_cq_wait_init(cq, &inside, false);
	optee_cq_going_down(cq);
	caller = caller_start(test, cq, 10);
	complete(&caller->go);
	KUNIT_EXPECT_EQ(test, caller_end(test, caller), 0);
	optee_cq_wait_final(cq, &inside);
	kfree(cq);
}

/* Where threads are counted, secure world is asked then, and the count stays right. */
static void thread_counted_going_down(struct kunit *test)
{
	struct optee_call_queue *cq = queue(test, 1);

	turned_away(test, cq);
	KUNIT_EXPECT_EQ(test, cq->free_thread_count, 1);
	kfree(cq);
}

/**
 * struct listener - a call that waits for a notification
 * @optee:	the instance, of which only the notifications are set up
 * @rc:		how it ended
 * @done:	it ended
 */
struct listener {
	struct optee *optee;
	int rc;
	struct completion done;
};

#define KEY	3

static int listener_fn(void *data)
{
	struct listener *listener = data;

	listener->rc = optee_notif_wait(listener->optee, KEY, 0);
	complete(&listener->done);

	return 0;
}

static struct listener *listener_start(struct kunit *test)
{
	struct listener *listener = kzalloc_obj(*listener);

	KUNIT_ASSERT_NOT_NULL(test, listener);
	listener->optee = kzalloc_obj(*listener->optee);
	KUNIT_ASSERT_NOT_NULL(test, listener->optee);
	KUNIT_ASSERT_EQ(test, optee_notif_init(listener->optee, 2 * KEY), 0);
	init_completion(&listener->done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(listener_fn, listener,
						    "optee-listener")));
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&listener->done,
							  msecs_to_jiffies(50)), 0);

	return listener;
}

static void listener_end(struct kunit *test, struct listener *listener, int rc)
{
	unsigned long left = wait_for_completion_timeout(&listener->done,
							 msecs_to_jiffies(LONG_MS));

	KUNIT_ASSERT_NE_MSG(test, left, 0, "still waits for a notification");
	KUNIT_EXPECT_EQ(test, listener->rc, rc);
	optee_notif_uninit(listener->optee);
	kfree(listener->optee);
	kfree(listener);
}

static void notified(struct kunit *test)
{
	struct listener *listener = listener_start(test);

	KUNIT_EXPECT_EQ(test, optee_notif_send(listener->optee, KEY), 0);
	listener_end(test, listener, 0);
}

/* The timeout is in milliseconds, whatever HZ is. */
static void notif_timeout(struct kunit *test)
{
	struct optee *optee = kunit_kzalloc(test, sizeof(*optee), GFP_KERNEL);
	unsigned long start = jiffies;
	unsigned int ms;

	KUNIT_ASSERT_NOT_NULL(test, optee);
	KUNIT_ASSERT_EQ(test, optee_notif_init(optee, 2 * KEY), 0);
	KUNIT_EXPECT_EQ(test, optee_notif_wait(optee, KEY, CALL_MS), -ETIMEDOUT);
	ms = jiffies_to_msecs(jiffies - start);
	KUNIT_EXPECT_GE(test, ms, CALL_MS - 50);
	KUNIT_EXPECT_LT(test, ms, 2 * CALL_MS);
	optee_notif_uninit(optee);
}

static void notif_aborted(struct kunit *test)
{
	struct listener *listener = listener_start(test);

	optee_notif_abort(listener->optee);
	listener_end(test, listener, -ECANCELED);
}

/* Who comes after that still gets what was sent, and waits a moment at most. */
static void notif_after_abort(struct kunit *test)
{
	struct listener *listener = listener_start(test);
	struct optee *optee = listener->optee;

	optee_notif_abort(optee);
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&listener->done,
							  msecs_to_jiffies(LONG_MS)), 0);
	KUNIT_EXPECT_EQ(test, optee_notif_wait(optee, KEY + 1, 0), -ECANCELED);
	KUNIT_EXPECT_EQ(test, optee_notif_send(optee, KEY + 1), 0);
	KUNIT_EXPECT_EQ(test, optee_notif_wait(optee, KEY + 1, 0), 0);

	complete(&listener->done);
	listener_end(test, listener, -ECANCELED);
}

/**
 * struct asker - a call that needs the supplicant, which the test is
 * @optee:	the instance, of which only the supplicant's part is set up
 * @teedev:	its device
 * @ctx:	who calls
 * @killed:	the client has been killed
 * @ret:	what secure world gets
 * @done:	it ended
 */
struct asker {
	struct optee optee;
	struct tee_device teedev;
	struct tee_context ctx;
	bool killed;
	u32 ret;
	struct completion done;
};

static int asker_fn(void *data)
{
	struct asker *asker = data;

	if (asker->killed) {
		allow_signal(SIGKILL);
		send_sig(SIGKILL, current, 1);
	}
	asker->ret = optee_supp_thrd_req(&asker->ctx, 0, 0, NULL);
	complete(&asker->done);

	return 0;
}

/* Not freed if the test fails, as with callers */
static struct asker *asker(struct kunit *test)
{
	struct asker *asker = kzalloc_obj(*asker);

	KUNIT_ASSERT_NOT_NULL(test, asker);
	optee_supp_init(&asker->optee.supp);
	asker->optee.supp.ctx = &asker->ctx;
	dev_set_drvdata(&asker->teedev.dev, &asker->optee);
	asker->ctx.teedev = &asker->teedev;
	init_completion(&asker->done);

	return asker;
}

/* When the machine goes down: some time for the answer, but not for the next. */
static void supp_silent_going_down(struct kunit *test)
{
	struct asker *silent = asker(test);
	unsigned long start = jiffies;

	optee_supp_going_down(&silent->optee.supp);
	KUNIT_EXPECT_EQ(test, optee_supp_thrd_req(&silent->ctx, 0, 0, NULL),
			TEEC_ERROR_COMMUNICATION);
	KUNIT_EXPECT_GE(test, jiffies_to_msecs(jiffies - start), 250);

	start = jiffies;
	KUNIT_EXPECT_EQ(test, optee_supp_thrd_req(&silent->ctx, 0, 0, NULL),
			TEEC_ERROR_COMMUNICATION);
	KUNIT_EXPECT_LT(test, jiffies_to_msecs(jiffies - start), 250);

	optee_supp_uninit(&silent->optee.supp);
	kfree(silent);
}

/* One that has been asked before has as much from then on. */
static void supp_asked_before_going_down(struct kunit *test)
{
	struct asker *silent = asker(test);
	unsigned long start;

	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(asker_fn, silent, "optee-asker")));
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&silent->done,
							  msecs_to_jiffies(50)), 0);
	start = jiffies;
	optee_supp_going_down(&silent->optee.supp);
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&silent->done,
							  msecs_to_jiffies(LONG_MS)), 0);
	KUNIT_EXPECT_GE(test, jiffies_to_msecs(jiffies - start), 250);
	KUNIT_EXPECT_EQ(test, silent->ret, TEEC_ERROR_COMMUNICATION);
	KUNIT_EXPECT_TRUE(test, silent->optee.supp.shutdown);

	optee_supp_uninit(&silent->optee.supp);
	kfree(silent);
}

/* One that is not there does not come any more. */
static void supp_absent_going_down(struct kunit *test)
{
	struct asker *absent = asker(test);
	unsigned long start = jiffies;

	optee_supp_going_down(&absent->optee.supp);
	optee_supp_release(&absent->optee.supp);
	KUNIT_EXPECT_EQ(test, optee_supp_thrd_req(&absent->ctx, 0, 0, NULL),
			TEEC_ERROR_COMMUNICATION);
	KUNIT_EXPECT_LT(test, jiffies_to_msecs(jiffies - start), 250);

	optee_supp_uninit(&absent->optee.supp);
	kfree(absent);
}

/* Otherwise it has all the time that it needs. */
static void supp_silent(struct kunit *test)
{
	struct asker *silent = asker(test);

	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(asker_fn, silent, "optee-asker")));
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&silent->done,
							  msecs_to_jiffies(2 * CALL_MS)), 0);
	KUNIT_EXPECT_FALSE(test, silent->optee.supp.shutdown);
	optee_supp_release(&silent->optee.supp);
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&silent->done,
							  msecs_to_jiffies(LONG_MS)), 0);
	KUNIT_EXPECT_EQ(test, silent->ret, TEEC_ERROR_COMMUNICATION);

	optee_supp_uninit(&silent->optee.supp);
	kfree(silent);
}

/* How long a killed client waits, in ms */
static unsigned int killed_client(struct kunit *test, struct asker *asker)
{
	unsigned long start = jiffies;

	asker->killed = true;
	reinit_completion(&asker->done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(asker_fn, asker, "optee-asker")));
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&asker->done,
							  msecs_to_jiffies(LONG_MS)), 0);

	return jiffies_to_msecs(jiffies - start);
}

/* A killed client waits some time, but no other one after it, nor if nobody is there. */
static void supp_silent_killed(struct kunit *test)
{
	struct asker *silent = asker(test);

	KUNIT_EXPECT_GE(test, killed_client(test, silent), 1900);
	KUNIT_EXPECT_EQ(test, silent->ret, TEEC_ERROR_COMMUNICATION);
	KUNIT_EXPECT_LT(test, killed_client(test, silent), 1900);
	KUNIT_EXPECT_EQ(test, silent->ret, TEEC_ERROR_COMMUNICATION);

	optee_supp_release(&silent->optee.supp);
	KUNIT_EXPECT_LT(test, killed_client(test, silent), 1900);
	KUNIT_EXPECT_EQ(test, silent->ret, TEEC_ERROR_COMMUNICATION);

	optee_supp_uninit(&silent->optee.supp);
	kfree(silent);
}

/* It gets the answer, and so does one after it. */
static void supp_answers_killed(struct kunit *test)
{
	struct asker *asked = asker(test);
	u32 ret;

	asked->killed = true;
	for (ret = 1; ret <= 2; ret++) {
		struct tee_param param = { .attr = TEE_IOCTL_PARAM_ATTR_META };
		u32 num_params = 1;
		u32 func;

		reinit_completion(&asked->done);
		KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(asker_fn, asked, "optee-asker")));
		KUNIT_ASSERT_EQ(test, wait_for_completion_timeout(&asked->done,
								  msecs_to_jiffies(50)), 0);
		KUNIT_ASSERT_EQ(test, optee_supp_recv(&asked->ctx, &func, &num_params, &param), 0);
		KUNIT_EXPECT_EQ(test, optee_supp_send(&asked->ctx, ret, num_params, &param), 0);
		KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&asked->done,
								  msecs_to_jiffies(LONG_MS)), 0);
		KUNIT_EXPECT_EQ(test, asked->ret, ret);
	}

	optee_supp_uninit(&asked->optee.supp);
	kfree(asked);
}

/**
 * struct taker - an owner, or the driver, that takes memory back
 * @optee:	the instance, of which only what the shutdown needs is set up
 * @ops:	its operations
 * @begun:	the owner has begun
 * @ended:	the owner has its memory
 * @gone:	the owner does not use any of this any more
 * @finish:	lets the driver have its, too
 */
struct taker {
	struct optee optee;
	struct optee_ops ops;
	struct completion begun;
	bool ended;
	struct completion gone;
	struct completion finish;
};

KUNIT_DEFINE_ACTION_WRAPPER(shutdown_uninit, optee_shutdown_uninit, struct optee *);

static struct taker *taker(struct kunit *test,
			   void (*take_back)(struct optee *optee, bool idle))
{
	struct taker *taker = kunit_kzalloc(test, sizeof(*taker), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, taker);
	init_completion(&taker->begun);
	init_completion(&taker->gone);
	init_completion(&taker->finish);
	taker->ops.take_back = take_back;
	taker->optee.ops = &taker->ops;
	optee_shutdown_init(&taker->optee);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, shutdown_uninit, &taker->optee), 0);

	return taker;
}

static void take_back_nothing(struct optee *optee, bool idle)
{
}

static void take_back_late(struct optee *optee, bool idle)
{
	struct taker *taker = container_of(optee, struct taker, optee);

	wait_for_completion_timeout(&taker->finish, msecs_to_jiffies(LONG_MS));
}

static int owner_fn(void *data)
{
	struct taker *taker = data;

	scoped_guard(optee_take_back, &taker->optee) {
		complete(&taker->begun);
		msleep(50);
		WRITE_ONCE(taker->ended, true);
	}
	complete(&taker->gone);

	return 0;
}

/* The shutdown waits for an owner that takes its memory back... */
static void memory_under_way(struct kunit *test)
{
	struct taker *t = taker(test, take_back_nothing);

	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(owner_fn, t, "optee-owner")));
	wait_for_completion(&t->begun);
	optee_shutdown_common(&t->optee);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(t->ended));
	wait_for_completion(&t->gone);
	flush_work(&t->optee.take_back_work);
}

/* ... but not for a secure world that does not answer. */
static void memory_never_back(struct kunit *test)
{
	struct taker *t = taker(test, take_back_late);
	unsigned long start = jiffies;

	optee_shutdown_common(&t->optee);
	KUNIT_EXPECT_LT(test, jiffies_to_msecs(jiffies - start), 2 * CALL_MS);
	complete(&t->finish);
	flush_work(&t->optee.take_back_work);
}

static struct kunit_case optee_wait_cases[] = {
	KUNIT_CASE(no_thread_for_one),
	KUNIT_CASE_SLOW(no_thread_for_three),
	KUNIT_CASE_SLOW(no_thread_counted),
	KUNIT_CASE_SLOW(thread_in_use),
	KUNIT_CASE_SLOW(thread_in_use_going_down),
	KUNIT_CASE(thread_asked_for_going_down),
	KUNIT_CASE_SLOW(thread_counted_going_down),
	KUNIT_CASE(notified),
	KUNIT_CASE_SLOW(notif_timeout),
	KUNIT_CASE(notif_aborted),
	KUNIT_CASE(notif_after_abort),
	KUNIT_CASE_SLOW(supp_silent_going_down),
	KUNIT_CASE_SLOW(supp_asked_before_going_down),
	KUNIT_CASE(supp_absent_going_down),
	KUNIT_CASE_SLOW(supp_silent),
	KUNIT_CASE_SLOW(supp_silent_killed),
	KUNIT_CASE(supp_answers_killed),
	KUNIT_CASE(memory_under_way),
	KUNIT_CASE_SLOW(memory_never_back),
	{}
};

static struct kunit_suite optee_wait_suite = {
	.name = "optee_wait",
	.test_cases = optee_wait_cases,
};

kunit_test_suite(optee_wait_suite);
