// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shutdown of a TEE device that is in use
 *
 * Removing a TEE device frees what the driver allocated, and so has to wait
 * until the last client is gone. Shutting it down must not: user space is
 * still alive when the machine is powered off, rebooted or handed to another
 * kernel with kexec, and nothing makes it let go of an open file descriptor.
 * Nor is there a need to, since nothing is freed at that time. It is enough
 * that
 *
 * - nobody starts anything new in the secure world: each operation that could
 *   take hold of something there is bracketed by tee_device_call_begin() and
 *   tee_device_call_end(), and the former fails from now on;
 * - those who are inside of the driver leave it: the driver wakes them up in
 *   its @shutdown operation, and they are given a limited time;
 * - the driver takes back what the secure world holds.
 *
 * What gives something back (closing a context, freeing shared memory, closing a
 * session but by the ioctl) is never refused, neither during nor after the
 * shutdown. Nothing in here waits for it after the shutdown has begun, though. It
 * may meet the driver while that is taking back the same, and has to be waited for
 * by that, or memory that neither finds any more may be with the secure world when
 * another kernel runs.
 */

#include <asm/barrier.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/tee_core.h>
#include "tee_private.h"

/* How long shutdown waits for calls in flight. The machine goes down anyway. */
#define TEE_SHUTDOWN_TIMEOUT_MS	500

/**
 * tee_device_call_begin() - Start an operation on a TEE device
 * @teedev:	TEE device
 *
 * To be called before an operation that may enter the driver of @teedev. May
 * nest. Each successful call has to be matched by tee_device_call_end(),
 * which the tee_call guard does by itself.
 *
 * Context: Any context, takes no locks.
 * Return: 0 on success, -ENODEV if @teedev has been shut down.
 */
int tee_device_call_begin(struct tee_device *teedev)
{
	/*
	 * The flag turns new calls away while earlier ones are still being
	 * waited for. It is the counter that decides: once it has reached
	 * zero nobody gets in again.
	 */
	if (READ_ONCE(teedev->shutdown))
		return -ENODEV;

	if (!refcount_inc_not_zero(&teedev->num_calls)) {
		/* Who got here must find the flag set from now on */
		smp_acquire__after_ctrl_dep();
		return -ENODEV;
	}

	return 0;
}

/**
 * tee_device_call_end() - End an operation on a TEE device
 * @teedev:	TEE device
 *
 * Matches a successful tee_device_call_begin().
 *
 * Context: Any context.
 */
void tee_device_call_end(struct tee_device *teedev)
{
	if (refcount_dec_and_test(&teedev->num_calls))
		complete_all(&teedev->c_no_calls);
}

/**
 * tee_device_shutdown() - Shut down a TEE device without waiting for its users
 * @teedev:	TEE device to shut down, or NULL
 *
 * Refuses new calls with -ENODEV, lets the driver wake up those that wait in
 * it (see @shutdown in struct tee_driver_ops), and waits less than a second
 * for the calls in flight to finish. Contexts, sessions and shared memory
 * stay as they are, so their owners can go on to reference and to release
 * them. There is no way back.
 *
 * For the shutdown callback of a TEE driver. On success only the release of
 * contexts, sessions and shared memory can still enter the driver; all else
 * has left it, so that the driver may take back from the secure world what it
 * holds. Nothing may be freed without calling tee_device_unregister().
 *
 * Context: Process context, may sleep. Must not be called with a lock held
 *	    that an operation of the driver may need in order to return.
 * Return: 0 if no call is left, also if @teedev is NULL, or -ETIMEDOUT if some
 *	   calls did not finish in time.
 */
int tee_device_shutdown(struct tee_device *teedev)
{
	unsigned long timeout = msecs_to_jiffies(TEE_SHUTDOWN_TIMEOUT_MS);
	bool was_shut_down;

	if (!teedev)
		return 0;

	scoped_guard(mutex, &teedev->mutex) {
		was_shut_down = teedev->shutdown;
		WRITE_ONCE(teedev->shutdown, true);
	}

	if (!was_shut_down) {
		if (teedev->desc->ops->shutdown)
			teedev->desc->ops->shutdown(teedev);
		/* Matches the initialization in tee_device_alloc() */
		tee_device_call_end(teedev);
	}

	if (!wait_for_completion_timeout(&teedev->c_no_calls, timeout)) {
		dev_warn(&teedev->dev,
			 "%u calls did not finish within %u ms, going on without them\n",
			 refcount_read(&teedev->num_calls),
			 TEE_SHUTDOWN_TIMEOUT_MS);
		return -ETIMEDOUT;
	}

	return 0;
}
EXPORT_SYMBOL_GPL(tee_device_shutdown);
