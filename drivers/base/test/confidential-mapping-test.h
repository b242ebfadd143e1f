/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Confidential devices: what the KUnit suites of DMA and of MMIO have in common.
 *
 * A test says itself whether this is a confidential guest. The memory is not
 * encrypted for that, but the decisions are those of such a guest.
 */
#ifndef _CONFIDENTIAL_MAPPING_TEST_H
#define _CONFIDENTIAL_MAPPING_TEST_H

#include <kunit/static_stub.h>
#include <kunit/test.h>

#include <linux/device.h>
#include <linux/device/confidential-guest.h>
#include <linux/slab.h>

#include "confidential-test.h"

static inline bool cc_test_is_guest(bool guest)
{
	return true;
}

static inline bool cc_test_is_no_guest(bool guest)
{
	return false;
}

static inline void cc_test_guest(struct kunit *test, bool guest)
{
	if (guest)
		kunit_activate_static_stub(test, device_cc_guest_stub, cc_test_is_guest);
	else
		kunit_activate_static_stub(test, device_cc_guest_stub, cc_test_is_no_guest);
}

static inline void cc_test_release(struct device *dev)
{
	kfree(dev);
}

/* A device without a bus, not added yet */
static inline struct device *cc_test_device(struct kunit *test, const char *name)
{
	struct device *dev = kzalloc_obj(*dev);

	KUNIT_ASSERT_NOT_NULL(test, dev);
	device_initialize(dev);
	dev->release = cc_test_release;
	dev_set_name(dev, "%s", name);
	return dev;
}

/* Of any age, also %NULL */
static inline void cc_test_drop(struct device *dev)
{
	if (dev && device_is_registered(dev))
		device_del(dev);
	put_device(dev);
}

#endif /* _CONFIDENTIAL_MAPPING_TEST_H */
