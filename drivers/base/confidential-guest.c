// SPDX-License-Identifier: GPL-2.0-only
/*
 * Confidential devices: where KUnit tests say what kind of machine this is.
 */

#include <kunit/static_stub.h>

#include <linux/device/confidential-guest.h>

/**
 * device_cc_guest_stub - answer a question about the platform in a KUnit test
 * @guest: what the platform says
 *
 * Tests replace this one: see kunit_activate_static_stub().
 *
 * Context: Any.
 * Return: what the current test says, @guest if it says nothing.
 */
bool device_cc_guest_stub(bool guest)
{
	KUNIT_STATIC_STUB_REDIRECT(device_cc_guest_stub, guest);

	return guest;
}
