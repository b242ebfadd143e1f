// SPDX-License-Identifier: GPL-2.0-only
/*
 * Confidential devices: which MMIO of a device is inside of the trust boundary.
 *
 * See Documentation/driver-api/confidential-devices-mapping.rst
 */

#include <linux/device.h>
#include <linux/device/confidential-mmio.h>
#include <linux/device/confidential.h>
#include <linux/ioport.h>

#include "base.h"

/**
 * device_cc_add_mmio - say which MMIO of a device is going to be encrypted
 * @dev: device
 * @start: physical address, page aligned
 * @size: bytes, whole pages
 *
 * For the core code of a bus, once for each range that has been verified as
 * answering only to encrypted access (PCIe TDISP: the TEE memory of the device
 * interface report), before device_cc_accept(). ioremap() maps these as
 * encrypted, and nothing else of @dev.
 *
 * The ranges are forgotten with device_cc_reject(), which a bus therefore calls
 * also after an acceptance that failed, and with the removal of @dev.
 *
 * Context: Process context, may sleep. The caller holds the device lock of
 *	    @dev, from the first range on until device_cc_accept() or
 *	    device_cc_reject(): ioremap() goes by the range from here on, and
 *	    no driver must bind in between.
 * Return: 0. On error nothing has changed:
 *	   -ENODEV if @dev is not added yet, or being removed;
 *	   -EBUSY while a driver is bound, or probing, or with @dev accepted;
 *	   -EBUSY if somebody has requested a part of the range, or it is
 *	   marked for some device, or does not lie inside of one resource;
 *	   -EINVAL if it is not whole pages; -ENOMEM; -EOPNOTSUPP in a kernel
 *	   without CONFIG_CONFIDENTIAL_DEVICES.
 */
int device_cc_add_mmio(struct device *dev, resource_size_t start,
		       resource_size_t size)
{
	struct device_private *p;

	device_lock_assert(dev);

	p = device_cc_private(dev);
	if (!p || p->dead)
		return -ENODEV;
	if (dev->driver || device_cc_accepted(dev))
		return -EBUSY;

	return iomem_mark_encrypted(dev, start, size);
}
