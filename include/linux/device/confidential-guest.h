/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Confidential devices: is this a confidential guest?
 *
 * What acts on the acceptance of a device does so in a confidential guest only.
 * No machine that runs tests is one, hence the question goes through here,
 * where a KUnit test can have it answered otherwise for its own task.
 */
#ifndef _LINUX_DEVICE_CONFIDENTIAL_GUEST_H
#define _LINUX_DEVICE_CONFIDENTIAL_GUEST_H

#include <linux/types.h>

#if IS_ENABLED(CONFIG_KUNIT) && defined(CONFIG_CONFIDENTIAL_DEVICES)

#include <kunit/test-bug.h>

#include <linux/preempt.h>

bool device_cc_guest_stub(bool guest);

/**
 * device_cc_guest - is this a confidential guest?
 * @guest: what the platform says
 *
 * Context: Any.
 * Return: @guest, or what a KUnit test says that runs in the current task. An
 *	   interrupt of that task is about other devices.
 */
static inline bool device_cc_guest(bool guest)
{
	return kunit_get_current_test() && in_task() ? device_cc_guest_stub(guest) : guest;
}

#else

static inline bool device_cc_guest(bool guest)
{
	return guest;
}

#endif

#endif /* _LINUX_DEVICE_CONFIDENTIAL_GUEST_H */
