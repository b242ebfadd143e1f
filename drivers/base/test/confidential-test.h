/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Confidential devices: what their KUnit suites have in common.
 */
#ifndef _CONFIDENTIAL_TEST_H
#define _CONFIDENTIAL_TEST_H

#include <linux/device.h>
#include <linux/device/confidential.h>
#include <linux/kobject.h>
#include <linux/string.h>

/* As the core code of a bus does */
static inline int cc_test_accept(struct device *dev)
{
	guard(device)(dev);
	return device_cc_accept(dev);
}

static inline int cc_test_reject(struct device *dev)
{
	guard(device)(dev);
	return device_cc_reject(dev);
}

/* The state that a change uevent tells of, or -1 */
static inline int cc_test_uevent(const struct kobj_uevent_env *env)
{
	bool change = false;

	for (int i = 0; i < env->envp_idx; i++) {
		change |= !strcmp(env->envp[i], "ACTION=change");
		if (change && !strcmp(env->envp[i], "CC_ACCEPTED=0"))
			return 0;
		if (change && !strcmp(env->envp[i], "CC_ACCEPTED=1"))
			return 1;
	}
	return -1;
}

#endif /* _CONFIDENTIAL_TEST_H */
