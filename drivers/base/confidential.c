// SPDX-License-Identifier: GPL-2.0-only
/*
 * Confidential devices: which devices a confidential VM has accepted into its
 * trust boundary.
 *
 * The state belongs to the driver core: it is in struct device_private, where
 * no module can set it, and every transition goes through this file, with the
 * device lock held and no driver bound.
 *
 * See Documentation/driver-api/confidential-devices.rst
 */

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include <linux/device.h>
#include <linux/device/confidential.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "base.h"

/*
 * Set with the first device that is accepted, and never cleared: a machine
 * that has accepted one device is likely to accept more, and text is not
 * patched again and again for it.
 */
DEFINE_STATIC_KEY_FALSE(device_cc_key);

/*
 * dev->p is NULL before device_add(), and is freed again when device_add()
 * fails. From "ready to probe" on, device_add() can no longer fail, and dev->p
 * stays until @dev is released, or until somebody adds the removed @dev once
 * more and fails: with the bit still set, dev->p is NULL from then on.
 * device_add() has taken and released many a lock between the initialization
 * of dev->p and the setting of that bit, so the acquire here is all that it
 * takes to see a zeroed dev->p, never what its memory held before.
 */
struct device_private *device_cc_private(const struct device *dev)
{
	if (!test_bit_acquire(DEV_FLAG_READY_TO_PROBE, dev->flags))
		return NULL;
	return READ_ONCE(dev->p);
}

/* Out of line half of device_cc_accepted() */
bool __device_cc_accepted(const struct device *dev)
{
	const struct device_private *p = device_cc_private(dev);

	/*
	 * Pairs with the WRITE_ONCE() in cc_set(). The hot paths cannot take
	 * the device lock, and need not: the state changes only while no
	 * driver is bound, and whoever maps DMA or MMIO does so for the bound
	 * driver. Binding and unbinding take the device lock, and so order
	 * the whole life of a binding after one transition and before the
	 * next. A reader that has nothing to do with a binding sees the state
	 * as of just before or just after a concurrent transition.
	 */
	return p && READ_ONCE(p->cc_accepted);
}

/* All writers hold the device lock. */
static void cc_set(struct device *dev, struct device_private *p, bool accepted)
{
	char *envp[2] = { accepted ? "CC_ACCEPTED=1" : "CC_ACCEPTED=0" };

	device_cc_switch(dev, accepted);
	WRITE_ONCE(p->cc_accepted, accepted);
	/* Best effort, as all uevents are: the attribute has the truth */
	kobject_uevent_env(&dev->kobj, KOBJ_CHANGE, envp);
}

/*
 * True once device_shutdown() may have passed over a device. The walk takes
 * each device's lock after system_state was set: who holds a device's lock and
 * sees this false comes before that device's ->shutdown().
 */
VISIBLE_IF_KUNIT bool device_cc_shutting_down(void)
{
	KUNIT_STATIC_STUB_REDIRECT(device_cc_shutting_down);

	return system_state >= SYSTEM_HALT && system_state <= SYSTEM_RESTART;
}

/**
 * device_cc_accept - take a device into the VM's trust boundary
 * @dev: device
 *
 * For the core code of a bus, after it has verified the device and put it into
 * the state where its MMIO answers only to encrypted access and its DMA may
 * reach private memory (for PCIe TDISP: RUN). From here on the kernel maps DMA
 * and MMIO of @dev as private.
 *
 * Drivers that device_cc_probe() has put off are probed again, from a
 * workqueue, once the caller has released the device lock.
 *
 * User space gets a change uevent with CC_ACCEPTED=1 when the state changes.
 * To accept a device again that is accepted already changes nothing. After an
 * error call device_cc_reject(): it forgets what was prepared for an acceptance.
 *
 * Context: Process context, may sleep. The caller holds the device lock of
 *	    @dev, and not cpu_hotplug_lock.
 * Return: 0 with @dev accepted. On error the state is as it was:
 *	   -ENODEV if @dev is not added yet, or being removed;
 *	   -EBUSY while a driver is bound, or probing: its mappings are those of
 *	   the old state; or where a mapping has outlived its driver, as far as
 *	   the kernel keeps track of that (CONFIG_DMA_API_DEBUG);
 *	   -ESHUTDOWN when the system goes down, where nobody would take @dev
 *	   back from the next kernel.
 */
int device_cc_accept(struct device *dev)
{
	struct device_private *p;
	int ret;

	device_lock_assert(dev);

	p = device_cc_private(dev);
	if (!p || p->dead)
		return -ENODEV;
	if (dev->driver)
		return -EBUSY;
	if (device_cc_shutting_down())
		return -ESHUTDOWN;
	if (p->cc_accepted)
		return 0;

	ret = device_cc_check(dev);
	if (ret)
		return ret;

	static_branch_enable(&device_cc_key);
	cc_set(dev, p, true);
	driver_deferred_probe_trigger();
	return 0;
}

/**
 * device_cc_reject - put a device out of the VM's trust boundary
 * @dev: device
 *
 * For the core code of a bus, when a device leaves the state in which
 * device_cc_accept() was called, or is to leave it. From here on the kernel
 * maps DMA and MMIO of @dev as shared again.
 *
 * User space gets a change uevent with CC_ACCEPTED=0 when the state changes.
 * It is no error if @dev was not accepted, was never added, or is gone.
 *
 * Context: Process context, may sleep. The caller holds the device lock of
 *	    @dev.
 * Return: 0 with @dev not accepted. -EBUSY while a driver is bound, or
 *	   probing, or, with @dev accepted, where a mapping has outlived its
 *	   driver, as for device_cc_accept(): the state is as it was.
 */
int device_cc_reject(struct device *dev)
{
	struct device_private *p;
	int ret;

	device_lock_assert(dev);

	if (dev->driver)
		return -EBUSY;

	p = device_cc_private(dev);
	if (!p)
		return 0;
	if (!p->cc_accepted) {
		/* What the bus has prepared for an acceptance that failed */
		device_cc_switch(dev, false);
		return 0;
	}

	ret = device_cc_check(dev);
	if (ret)
		return ret;

	cc_set(dev, p, false);
	return 0;
}

/**
 * device_cc_probe - let a driver's probe wait for the acceptance of its device
 * @dev: device that is being probed
 *
 * A driver that wants to operate its device inside of the trust boundary only
 * does what is needed to get the device verified, calls this, and returns the
 * error. It is probed again when the device is accepted, also if this probe
 * came from the driver's bind attribute, where the bus has drivers_autoprobe on.
 * Until then the device is listed in debugfs' devices_deferred, with "TEE
 * acceptance pending" as the reason.
 *
 * Context: The driver's probe, with the device lock held by the driver core.
 * Return: 0 if @dev is accepted, and stays so until the driver is unbound.
 *	   -EPROBE_DEFER if it is not. -EINVAL if no driver is being bound.
 *	   -EOPNOTSUPP, once and for all, in a kernel without
 *	   CONFIG_CONFIDENTIAL_DEVICES.
 */
int device_cc_probe(struct device *dev)
{
	device_lock_assert(dev);

	if (!dev->driver)
		return -EINVAL;
	if (device_cc_accepted(dev))
		return 0;

	/*
	 * The driver core defers a probe that it has started itself, but not
	 * one that user space asked for by the bind attribute. The wait is the
	 * same.
	 */
	driver_deferred_probe_add(dev);
	return dev_err_probe(dev, -EPROBE_DEFER, "TEE acceptance pending\n");
}
EXPORT_SYMBOL_GPL(device_cc_probe);

static ssize_t cc_accepted_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", device_cc_accepted(dev));
}
static DEVICE_ATTR_RO(cc_accepted);

/*
 * A device without a bus has no driver, hence nothing that could be mapped
 * one way or the other: it gets no attribute.
 */
int device_cc_add_attr(struct device *dev)
{
	return dev->bus ? device_create_file(dev, &dev_attr_cc_accepted) : 0;
}

void device_cc_remove_attr(struct device *dev)
{
	device_remove_file(dev, &dev_attr_cc_accepted);
}

/*
 * For device_del(), after the last thing that may unmap DMA or MMIO of @dev in
 * the way that it was mapped: the driver's remove, devres, the bus notifiers.
 * The device is dead, so that nobody can accept it after this, and whoever
 * still holds a reference, adds it again, or reuses its memory finds a device
 * that was not accepted. No uevent: that of the removal tells.
 */
void device_cc_removed(struct device *dev)
{
	guard(device)(dev);
	if (dev->p->cc_accepted)
		device_cc_check(dev);	/* Too late to refuse, but it is told */
	device_cc_switch(dev, false);
	WRITE_ONCE(dev->p->cc_accepted, false);
}

/*
 * For device_shutdown(), after what quiesces @dev, with the device lock held: a
 * device that is accepted must not meet the next kernel as a private one. Every
 * such device comes here, as nothing is accepted after the walk has passed it.
 *
 * The driver stays bound, and so do its mappings, hence the state stays as well.
 * Without a driver it becomes what the device is, but not under whoever is about
 * to remove it: that is for device_cc_removed().
 */
void device_cc_shutdown(struct device *dev)
{
	int ret = -EOPNOTSUPP;

	device_lock_assert(dev);

	if (!device_cc_accepted(dev))
		return;

	if (dev->bus && dev->bus->cc_shutdown)
		ret = dev->bus->cc_shutdown(dev);
	if (ret)
		dev_warn(dev, "accepted, and not given back (%pe): the next kernel has to reset it, it answers only to encrypted access\n",
			 ERR_PTR(ret));
	else if (!dev->driver && !dev->p->dead)
		device_cc_reject(dev);
}
