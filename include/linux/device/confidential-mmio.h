/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Confidential devices: which MMIO is inside of the trust boundary.
 *
 * See Documentation/driver-api/confidential-devices-mapping.rst
 */
#ifndef _LINUX_DEVICE_CONFIDENTIAL_MMIO_H
#define _LINUX_DEVICE_CONFIDENTIAL_MMIO_H

#include <linux/device.h>
#include <linux/errno.h>
#include <linux/types.h>

#ifdef CONFIG_CONFIDENTIAL_DEVICES

int device_cc_add_mmio(struct device *dev, resource_size_t start,
		       resource_size_t size);

#else

static inline int device_cc_add_mmio(struct device *dev, resource_size_t start,
				     resource_size_t size)
{
	device_lock_assert(dev);
	return -EOPNOTSUPP;
}

#endif /* CONFIG_CONFIDENTIAL_DEVICES */

#endif /* _LINUX_DEVICE_CONFIDENTIAL_MMIO_H */
