// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of driver_deferred_probe_settle(): what must have been probed
 * when it returns, and that it returns.
 */

#include <kunit/platform_device.h>
#include <kunit/test.h>

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/kthread.h>
#include <linux/platform_device.h>
#include <linux/sched/task.h>

#define SETTLE_DEVICES	3
#define SETTLE_MS	40
#define SETTLE_ENOUGH	20

/* One device of a test, and what its probe finds */
struct settle_device {
	struct platform_device *pdev;
	/* Defers for as long as this is false, or that one is not bound */
	bool ready;
	struct settle_device *needs;
	unsigned int sleep_ms;
	bool settles;
	/* Sleeps for so long before it defers, the first time; then SETTLE_MS */
	unsigned int defer_ms;
	/* Binds when these two have begun to sleep */
	struct settle_device *rivals;
	/* Adds that one before it binds: a controller, and what is behind it */
	struct settle_device *child;
	bool added;
	struct completion in_thread;
	/* What the probe did */
	int probes;
	bool sleeps;
	bool bound;
};

struct settle_test {
	struct settle_device devices[SETTLE_DEVICES];
};

static bool settle_asleep(const struct settle_device *rivals)
{
	return READ_ONCE(rivals[0].sleeps) && READ_ONCE(rivals[1].sleeps);
}

/* With the device lock held: no device is in two probes at once. */
static int settle_probe(struct platform_device *pdev)
{
	struct settle_device *d = *(struct settle_device **)dev_get_platdata(&pdev->dev);
	int i;

	WRITE_ONCE(d->probes, d->probes + 1);
	/* An end to it, so that the test has one where nothing else ends it */
	if (READ_ONCE(d->defer_ms) && d->probes < SETTLE_ENOUGH) {
		WRITE_ONCE(d->sleeps, true);
		msleep(d->defer_ms);
		WRITE_ONCE(d->defer_ms, SETTLE_MS);
		return -EPROBE_DEFER;
	}
	if (!READ_ONCE(d->ready) || (d->needs && !READ_ONCE(d->needs->bound)))
		return -EPROBE_DEFER;

	if (d->settles)
		driver_deferred_probe_settle();
	if (d->child)
		d->child->added = !platform_device_add(d->child->pdev);
	if (d->sleep_ms)
		msleep(d->sleep_ms);
	for (i = 0; d->rivals && !settle_asleep(d->rivals) && i < 5000; i++)
		usleep_range(1000, 2000);
	WRITE_ONCE(d->bound, true);
	return 0;
}

static struct platform_driver settle_driver = {
	.probe = settle_probe,
	.driver = {
		.name = "settle-test",
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
	},
};

static struct platform_driver settle_async_driver = {
	.probe = settle_probe,
	.driver = {
		.name = "settle-test-async",
		.probe_type = PROBE_PREFER_ASYNCHRONOUS,
	},
};

static struct settle_device *settle_alloc(struct kunit *test, int i,
					  const struct platform_driver *drv)
{
	struct settle_test *t = test->priv;
	struct settle_device *d = &t->devices[i];

	d->pdev = kunit_platform_device_alloc(test, drv->driver.name, i);
	KUNIT_ASSERT_NOT_NULL(test, d->pdev);
	KUNIT_ASSERT_EQ(test, platform_device_add_data(d->pdev, &d, sizeof(d)), 0);
	return d;
}

/* Adds device @i of the test, and waits until its first probe has deferred. */
static struct settle_device *settle_add(struct kunit *test, int i,
					const struct platform_driver *drv)
{
	struct settle_device *d = settle_alloc(test, i, drv);

	KUNIT_ASSERT_EQ(test, kunit_platform_device_add(test, d->pdev), 0);
	wait_for_device_probe();
	KUNIT_ASSERT_GE(test, READ_ONCE(d->probes), 1);
	KUNIT_ASSERT_FALSE(test, READ_ONCE(d->bound));
	return d;
}

/* What a device waited for came without a probe that would have told. */
static void settle_binds(struct kunit *test)
{
	struct settle_device *d = settle_add(test, 0, &settle_driver);

	WRITE_ONCE(d->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(d->bound));
}

/* Devices that wait for one another, in the order that is worst. */
static void settle_chain(struct kunit *test)
{
	struct settle_device *a = settle_add(test, 0, &settle_driver);
	struct settle_device *b = settle_add(test, 1, &settle_driver);
	struct settle_device *c = settle_add(test, 2, &settle_driver);

	a->needs = b;
	b->needs = c;
	WRITE_ONCE(a->ready, true);
	WRITE_ONCE(b->ready, true);
	WRITE_ONCE(c->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(c->bound));
	KUNIT_EXPECT_TRUE(test, READ_ONCE(b->bound));
	KUNIT_EXPECT_TRUE(test, READ_ONCE(a->bound));
}

static void settle_async(struct kunit *test)
{
	struct settle_device *d = settle_add(test, 0, &settle_async_driver);

	d->sleep_ms = 50;
	WRITE_ONCE(d->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(d->bound));
}

/*
 * The asynchronous probe ends, and triggers the one that waits for it, after
 * the deferred probes have been gone through.
 */
static void settle_after_async(struct kunit *test)
{
	struct settle_device *a = settle_add(test, 0, &settle_driver);
	struct settle_device *b = settle_add(test, 1, &settle_async_driver);

	a->needs = b;
	a->sleep_ms = 50;
	b->sleep_ms = 50;
	WRITE_ONCE(a->ready, true);
	WRITE_ONCE(b->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(b->bound));
	KUNIT_EXPECT_TRUE(test, READ_ONCE(a->bound));
}

/*
 * A controller waits for its clock, and has the device that is behind it when it
 * gets that, as with SPI and I2C. The device's probe is asynchronous, and is
 * deferred as well, as long as the controller's has not ended.
 */
static void settle_controller(struct kunit *test)
{
	struct settle_device *controller = settle_add(test, 0, &settle_driver);
	struct settle_device *child = settle_alloc(test, 1, &settle_async_driver);

	child->needs = controller;
	child->sleep_ms = 50;
	WRITE_ONCE(child->ready, true);
	controller->child = child;
	controller->sleep_ms = 50;
	WRITE_ONCE(controller->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(controller->bound));
	KUNIT_EXPECT_TRUE(test, READ_ONCE(child->bound));
	KUNIT_EXPECT_GE(test, READ_ONCE(child->probes), 2);
	if (child->added)
		platform_device_del(child->pdev);
}

/*
 * Two that are being probed when a third one is bound: each is to be retried
 * for that, and neither because the other one was deferred during its probe.
 */
static void settle_defer_at_once(struct kunit *test)
{
	struct settle_device *a = settle_add(test, 0, &settle_async_driver);
	struct settle_device *b = settle_add(test, 1, &settle_async_driver);
	struct settle_device *c = settle_add(test, 2, &settle_driver);
	int probes[2];

	probes[0] = READ_ONCE(a->probes);
	probes[1] = READ_ONCE(b->probes);
	WRITE_ONCE(a->defer_ms, SETTLE_MS);
	WRITE_ONCE(b->defer_ms, SETTLE_MS * 3 / 2);
	c->rivals = a;
	WRITE_ONCE(c->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(c->bound));
	KUNIT_EXPECT_GE(test, READ_ONCE(a->probes), probes[0] + 2);
	KUNIT_EXPECT_GE(test, READ_ONCE(b->probes), probes[1] + 2);
	KUNIT_EXPECT_LT(test, READ_ONCE(a->probes), SETTLE_ENOUGH);
	KUNIT_EXPECT_LT(test, READ_ONCE(b->probes), SETTLE_ENOUGH);
	kunit_info(test, "%d and %d probes\n", READ_ONCE(a->probes) - probes[0],
		   READ_ONCE(b->probes) - probes[1]);
}

/* What cannot be probed is tried with each call, and is not waited for. */
static void settle_leaves(struct kunit *test)
{
	struct settle_device *d = settle_add(test, 0, &settle_driver);
	int probes = READ_ONCE(d->probes);

	driver_deferred_probe_settle();
	/* More than once where somebody else's device was bound meanwhile */
	KUNIT_EXPECT_GT(test, READ_ONCE(d->probes), probes);
	probes = READ_ONCE(d->probes);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_GT(test, READ_ONCE(d->probes), probes);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(d->bound));

	WRITE_ONCE(d->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(d->bound));
}

/* A probe must not wait for itself. If one does, this test does not end. */
static void settle_in_deferred_probe(struct kunit *test)
{
	struct settle_device *d = settle_add(test, 0, &settle_driver);

	d->settles = true;
	WRITE_ONCE(d->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(d->bound));
}

static void settle_in_async_probe(struct kunit *test)
{
	struct settle_device *d = settle_add(test, 0, &settle_async_driver);

	d->settles = true;
	WRITE_ONCE(d->ready, true);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(d->bound));
}

static int settle_thread(void *data)
{
	struct settle_device *d = data;

	complete(&d->in_thread);
	driver_deferred_probe_settle();
	return READ_ONCE(d->bound);
}

static void settle_at_once(struct kunit *test)
{
	struct settle_device *d = settle_add(test, 0, &settle_driver);
	struct task_struct *threads[4];
	int i, n;

	d->sleep_ms = 50;
	init_completion(&d->in_thread);
	WRITE_ONCE(d->ready, true);
	for (n = 0; n < ARRAY_SIZE(threads); n++) {
		threads[n] = kthread_create(settle_thread, d, "settle-test/%d", n);
		if (IS_ERR(threads[n]))
			break;
		get_task_struct(threads[n]);
		wake_up_process(threads[n]);
	}
	KUNIT_EXPECT_EQ(test, n, ARRAY_SIZE(threads));
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(d->bound));
	/* kthread_stop() has the return value, but may keep one from running */
	for (i = 0; i < n; i++)
		wait_for_completion(&d->in_thread);
	for (i = 0; i < n; i++)
		KUNIT_EXPECT_EQ(test, kthread_stop_put(threads[i]), 1);
}

static int settle_init(struct kunit *test)
{
	test->priv = kunit_kzalloc(test, sizeof(struct settle_test), GFP_KERNEL);
	return test->priv ? 0 : -ENOMEM;
}

static int settle_suite_init(struct kunit_suite *suite)
{
	int ret = platform_driver_register(&settle_driver);

	if (ret)
		return ret;
	ret = platform_driver_register(&settle_async_driver);
	if (ret)
		platform_driver_unregister(&settle_driver);
	return ret;
}

static void settle_suite_exit(struct kunit_suite *suite)
{
	if (suite->suite_init_err)
		return;
	platform_driver_unregister(&settle_async_driver);
	platform_driver_unregister(&settle_driver);
}

static struct kunit_case settle_cases[] = {
	KUNIT_CASE(settle_binds),
	KUNIT_CASE(settle_chain),
	KUNIT_CASE(settle_async),
	KUNIT_CASE(settle_after_async),
	KUNIT_CASE(settle_controller),
	KUNIT_CASE(settle_defer_at_once),
	KUNIT_CASE(settle_leaves),
	KUNIT_CASE(settle_in_deferred_probe),
	KUNIT_CASE(settle_in_async_probe),
	KUNIT_CASE(settle_at_once),
	{}
};

static struct kunit_suite settle_suite = {
	.name = "deferred_probe_settle",
	.suite_init = settle_suite_init,
	.suite_exit = settle_suite_exit,
	.init = settle_init,
	.test_cases = settle_cases,
};

kunit_test_suite(settle_suite);

MODULE_DESCRIPTION("KUnit tests of driver_deferred_probe_settle()");
MODULE_LICENSE("GPL");
