/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Confidential devices: acceptance of a device into the trust boundary of a
 * confidential VM.
 *
 * See Documentation/driver-api/confidential-devices.rst
 */
#ifndef _LINUX_DEVICE_CONFIDENTIAL_H
#define _LINUX_DEVICE_CONFIDENTIAL_H

#include <linux/device.h>
#include <linux/errno.h>
#include <linux/types.h>

#ifdef CONFIG_CONFIDENTIAL_DEVICES

#include <linux/jump_label.h>

/*
 * None of these but device_cc_probe() is exported: on which side of the trust
 * boundary a device operates is not for a module to decide or to act upon.
 */
DECLARE_STATIC_KEY_FALSE(device_cc_key);

int device_cc_accept(struct device *dev);
int device_cc_reject(struct device *dev);
int device_cc_probe(struct device *dev);
bool __device_cc_accepted(const struct device *dev);

/**
 * device_cc_accepted - is a device inside of the VM's trust boundary?
 * @dev: device
 *
 * For the built-in code that has to act on it: DMA, ioremap, IOMMU.
 *
 * The state changes only while no driver is bound to @dev. What is done for
 * the bound driver, from its probe to its remove, therefore always gets the
 * same answer.
 *
 * Until the first device of the machine is accepted this is a patched-out
 * branch.
 *
 * Context: Any. No lock is needed. The caller makes sure that the memory of
 *	    @dev stays; @dev need not be added, and may be about to go.
 * Return: true if @dev was accepted, and neither rejected nor removed since.
 */
static inline bool device_cc_accepted(const struct device *dev)
{
	return static_branch_unlikely(&device_cc_key) &&
	       __device_cc_accepted(dev);
}

#else /* !CONFIG_CONFIDENTIAL_DEVICES */

/*
 * A kernel without confidential devices has all devices outside of its trust
 * boundary. It says so, and does not say otherwise because it was asked to:
 * a bus must not start a device as a private one, and a driver that handles
 * nothing but private data must not go ahead.
 */

static inline int device_cc_accept(struct device *dev)
{
	device_lock_assert(dev);
	return -EOPNOTSUPP;
}

static inline int device_cc_reject(struct device *dev)
{
	device_lock_assert(dev);
	return dev->driver ? -EBUSY : 0;
}

static inline bool device_cc_accepted(const struct device *dev)
{
	return false;
}

static inline int device_cc_probe(struct device *dev)
{
	device_lock_assert(dev);

	/* Not -EPROBE_DEFER: nothing would ever end the wait */
	return dev->driver ? -EOPNOTSUPP : -EINVAL;
}

#endif /* CONFIG_CONFIDENTIAL_DEVICES */

#endif /* _LINUX_DEVICE_CONFIDENTIAL_H */
