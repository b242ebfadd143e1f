// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measurements that are taken before IMA knows whether there is a TPM.
 *
 * To find out IMA has the deferred probes retried, and they may read files:
 * firmware, or what a usermode helper is. By then the policy is in force, so
 * that these are measured and appraised like any other. What cannot be done
 * yet is to store the measurements: boot_aggregate is to be the first one, and
 * the digests of an entry are those of the TPM's banks. They wait here.
 */

#include <linux/cleanup.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "ima.h"

struct ima_early_entry {
	struct list_head list;
	struct ima_template_entry *entry;
	int violation;
	int pcr;
};

/*
 * Held until all that has waited is stored: who stores something meanwhile
 * comes after it. ima_extend_list_mutex is taken inside.
 */
static DEFINE_MUTEX(ima_early_lock);
static LIST_HEAD(ima_early_entries);
static bool ima_early;		/* also read without the lock, see below */

/**
 * ima_early_store() - have a measurement wait for the TPM
 * @entry: template entry, without digests
 * @violation: is it one?
 * @pcr: for ima_store_template()
 *
 * Once ima_early_end() has returned, this is a look at a flag.
 *
 * Context: Process context, may sleep.
 * Return: 1 if @entry waits, and belongs to this file; 0 if it is to be stored
 *	   now; -ENOMEM.
 */
int ima_early_store(struct ima_template_entry *entry, int violation, int pcr)
{
	struct ima_early_entry *early;

	/* Who sees it outdated waits for the lock, and looks again */
	if (!READ_ONCE(ima_early))
		return 0;

	guard(mutex)(&ima_early_lock);

	if (!ima_early)
		return 0;

	early = kmalloc_obj(*early);
	if (!early)
		return -ENOMEM;
	early->entry = entry;
	early->violation = violation;
	early->pcr = pcr;
	list_add_tail(&early->list, &ima_early_entries);
	return 1;
}

/**
 * ima_early_begin() - from here on measurements wait
 *
 * Context: IMA's initcall, before it has a policy.
 */
void __init ima_early_begin(void)
{
	guard(mutex)(&ima_early_lock);
	WRITE_ONCE(ima_early, true);
}

/**
 * ima_early_end() - store what has waited
 * @first: stores what is to be the first entry, by __ima_store_template()
 *
 * The TPM, if there is one, and the digests of its banks have been set up.
 *
 * Context: IMA's initcall. Sends commands to the TPM.
 * Return: 0, or the error of @first. What has waited is stored all the same.
 *	   What cannot be stored is lost, as it is at any other time: the audit
 *	   log has it, if it is not memory that is missing.
 */
int __init ima_early_end(int (*first)(void))
{
	struct ima_early_entry *early, *next;
	int rc;

	guard(mutex)(&ima_early_lock);

	rc = first();

	list_for_each_entry_safe(early, next, &ima_early_entries, list) {
		/* The same file again is the usual error: it's there already */
		if (__ima_store_template(early->entry, early->violation, NULL,
					 NULL, early->pcr) < 0)
			ima_free_template_entry(early->entry);
		list_del(&early->list);
		kfree(early);
	}
	WRITE_ONCE(ima_early, false);
	return rc;
}
