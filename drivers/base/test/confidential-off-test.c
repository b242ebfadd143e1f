// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of what a kernel without confidential devices answers.
 *
 * Its answers are inline functions. They are tested in a kernel that has
 * confidential devices, so that one kernel runs all suites: this file alone
 * sees the headers as they are without.
 */

#include <kunit/test.h>

#include <linux/debug_locks.h>
#include <linux/device.h>
#include <linux/slab.h>

#undef CONFIG_CONFIDENTIAL_DEVICES
#include <linux/device/confidential-mmio.h>
#include <linux/device/confidential.h>

static void cc_off_release(struct device *dev)
{
	kfree(dev);
}

static int cc_off_init(struct kunit *test)
{
	struct device *dev = kzalloc_obj(*dev);

	if (!dev)
		return -ENOMEM;

	device_initialize(dev);
	dev->release = cc_off_release;
	test->priv = dev;
	return 0;
}

static void cc_off_exit(struct kunit *test)
{
	put_device(test->priv);
}

/* No device is accepted, no driver goes ahead or waits for what cannot come */
static void cc_off_test(struct kunit *test)
{
	struct device_driver drv = { .name = "cc-off" };
	struct device *dev = test->priv;

	guard(device)(dev);

	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, device_cc_accept(dev));
	KUNIT_EXPECT_FALSE(test, device_cc_accepted(dev));
	KUNIT_EXPECT_EQ(test, 0, device_cc_reject(dev));
	KUNIT_EXPECT_EQ(test, -EINVAL, device_cc_probe(dev));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, device_cc_add_mmio(dev, 0, PAGE_SIZE));

	dev->driver = &drv;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, device_cc_accept(dev));
	KUNIT_EXPECT_FALSE(test, device_cc_accepted(dev));
	KUNIT_EXPECT_EQ(test, -EBUSY, device_cc_reject(dev));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, device_cc_probe(dev));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, device_cc_add_mmio(dev, 0, PAGE_SIZE));
	dev->driver = NULL;
}

static void cc_off_lock_test(struct kunit *test)
{
	struct device *dev = test->priv;

	if (!IS_ENABLED(CONFIG_LOCKDEP) || !debug_locks)
		kunit_skip(test, "needs lockdep");

	kunit_warning_suppress(test) {
		device_cc_accept(dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
		device_cc_reject(dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 2);
		device_cc_probe(dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 3);
		device_cc_add_mmio(dev, 0, PAGE_SIZE);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 4);
		device_cc_accepted(dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 4);
	}
}

static struct kunit_case cc_off_cases[] = {
	KUNIT_CASE(cc_off_test),
	KUNIT_CASE(cc_off_lock_test),
	{}
};

static struct kunit_suite cc_off_suite = {
	.name = "confidential-off",
	.init = cc_off_init,
	.exit = cc_off_exit,
	.test_cases = cc_off_cases,
};

kunit_test_suite(cc_off_suite);

MODULE_DESCRIPTION("KUnit tests of a kernel without confidential devices");
MODULE_LICENSE("GPL");
