// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which TPM, if any, IMA's measurements are anchored in.
 */

#include <linux/cleanup.h>
#include <linux/ima.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/tpm.h>

#include "ima.h"

/*
 * What these entries say is not for users to say. No path of a file is like that,
 * as those begin with a slash, nor is what ima_d_path() falls back to, a name that
 * has none.
 */
static const char tpm_none_name[] = "tpm/none";
static const char tpm_missed_name[] = "tpm/missed";

enum ima_tpm_state {
	IMA_TPM_UNDECIDED,	/* IMA has not looked for the last time, or is disabled */
	IMA_TPM_ANCHORED,
	IMA_TPM_NONE,
	IMA_TPM_MISSED,
};

/* Serialises the last look for a TPM with the arrival of one. */
static DEFINE_MUTEX(ima_tpm_lock);
static enum ima_tpm_state ima_tpm_state;

/* What kexec has carried over was measured without a TPM; says so, too */
static bool ima_tpm_carried_none __initdata;
static bool ima_tpm_carried_missed __initdata;

/**
 * ima_tpm_status() - what became of the TPM
 *
 * Context: Any.
 * Return: "anchored": IMA has extended a TPM from its first measurement on;
 *	   "none": there is no TPM; "missed": there is one, but it came too late,
 *	   for this kernel or for one before it.
 */
const char *ima_tpm_status(void)
{
	switch (READ_ONCE(ima_tpm_state)) {
	case IMA_TPM_ANCHORED:
		return "anchored";
	case IMA_TPM_MISSED:
		return "missed";
	default:
		return "none";
	}
}

/*
 * Nothing has extended the PCR of a TPM that came too late: whoever gets hold of
 * it could extend the digests of a list of his own. Extend zeros. That cannot be
 * taken back, and there is no list that leads to it: no entry has a digest of
 * zeros but a violation, and that is extended with 0xff.
 */
static int ima_tpm_invalidate_pcr(struct tpm_chip *chip)
{
	struct tpm_digest *digests __free(kfree) =
		kzalloc_objs(*digests, chip->nr_allocated_banks);
	int i;

	if (!digests)
		return -ENOMEM;

	for (i = 0; i < chip->nr_allocated_banks; i++)
		digests[i].alg_id = chip->allocated_banks[i].alg_id;
	return tpm_pcr_extend(chip, CONFIG_IMA_MEASURE_PCR_IDX, digests);
}

/*
 * An entry of ours, with a digest of zeros, which no measurement of a buffer has:
 * their names can be anything (that of a keyring). SHA1's is for all templates.
 */
static int ima_tpm_record(const char *name, const char *violation)
{
	struct ima_max_digest_data hash = {
		.hdr.algo = HASH_ALGO_SHA1,
		.hdr.length = SHA1_DIGEST_SIZE,
	};
	struct ima_iint_cache iint = {
		.ima_hash = container_of(&hash.hdr, struct ima_digest_data, hdr),
	};
	struct ima_event_data event_data = {
		.iint = &iint,
		.filename = name,
		.violation = violation,
	};
	struct ima_template_entry *entry;
	int rc;

	if (violation)
		atomic_long_inc(&ima_num_violations);

	rc = ima_alloc_init_template(&event_data, &entry, NULL);
	if (rc < 0)
		return rc;
	rc = ima_store_template(entry, !!violation, NULL, name,
				CONFIG_IMA_MEASURE_PCR_IDX);
	if (rc < 0)
		ima_free_template_entry(entry);
	return rc;
}

/* The list says so too, for whoever gets nothing but the list. */
static int ima_tpm_record_missed(void)
{
	return ima_tpm_record(tpm_missed_name, "TPM missed");
}

static void ima_tpm_missed(struct tpm_chip *chip)
{
	bool first = ima_tpm_state == IMA_TPM_NONE;
	int rc;

	lockdep_assert_held(&ima_tpm_lock);

	WRITE_ONCE(ima_tpm_state, IMA_TPM_MISSED);
	pr_err("%s came after IMA had started without a TPM: no measurement of this boot is anchored in it\n",
	       dev_name(&chip->dev));

	/* If it fails, ima_tpm_available() is called once more */
	rc = ima_tpm_invalidate_pcr(chip);
	if (rc)
		pr_err("PCR %d of %s not invalidated (%d): do not trust it\n",
		       CONFIG_IMA_MEASURE_PCR_IDX, dev_name(&chip->dev), rc);
	else
		chip->flags |= TPM_CHIP_FLAG_IMA_MISSED;

	/* One violation invalidates the list, whichever of them is asked */
	if (!first)
		return;
	rc = ima_tpm_record_missed();
	if (rc)
		pr_err("the missed TPM is not in the measurement list (%d)\n", rc);
}

/**
 * ima_tpm_find() - look for a TPM to extend
 * @last: if there is none, IMA does without
 *
 * A TPM that this does not find the last time is one for ima_tpm_available(), be
 * it that another one has come with it.
 *
 * Context: IMA's initcall. May sleep. With @last, measurements must be able to
 *	    wait, see ima_early_begin(), or the list be ready.
 * Return: the TPM, with a reference, or NULL.
 */
struct tpm_chip *__init ima_tpm_find(bool last)
{
	struct tpm_chip *chip;

	guard(mutex)(&ima_tpm_lock);

	/* IMA begins anew, with another hash: what has come meanwhile is late */
	if (ima_tpm_state != IMA_TPM_UNDECIDED)
		return NULL;

	chip = tpm_default_chip();
	if (!chip && last)
		WRITE_ONCE(ima_tpm_state, IMA_TPM_NONE);
	return chip;
}

/**
 * ima_tpm_available() - tell IMA of a TPM
 * @chip: TPM that takes commands
 *
 * For the TPM core, before user space can use @chip, and again when
 * tpm_default_chip() can find it: if IMA looks for the last time in between, it
 * learns of @chip then. A TPM that comes after IMA has started without one is reported, its
 * PCR is invalidated, and so is the measurement list. Measurements are not
 * replayed into it.
 *
 * Context: Process context, may sleep. Sends commands to @chip.
 */
void ima_tpm_available(struct tpm_chip *chip)
{
	/*
	 * The TPM of a container or of a test is nobody's root of trust, and one
	 * whose firmware is to be upgraded takes no other commands.
	 */
	if (chip->flags & TPM_CHIP_FLAG_VIRTUAL || tpm_is_firmware_upgrade(chip))
		return;

	guard(mutex)(&ima_tpm_lock);

	/* Every one of them, each once, unless IMA has one: ima_tpm_carried() */
	if ((ima_tpm_state == IMA_TPM_NONE || ima_tpm_state == IMA_TPM_MISSED) &&
	    !ima_tpm_chip && !(chip->flags & TPM_CHIP_FLAG_IMA_MISSED))
		ima_tpm_missed(chip);
}

#ifdef CONFIG_IMA_KEXEC
/**
 * ima_tpm_hand_on() - tell the next kernel that the list is not anchored
 *
 * The boot_aggregate of zeros does so too, until user space takes it out.
 *
 * Context: Process context, may sleep. On the way to a kexec, before measuring
 *	    ends.
 */
void ima_tpm_hand_on(void)
{
	int rc;

	guard(mutex)(&ima_tpm_lock);

	if (ima_tpm_state != IMA_TPM_NONE && ima_tpm_state != IMA_TPM_MISSED)
		return;

	rc = ima_tpm_record(tpm_none_name, NULL);
	if (rc && rc != -EEXIST)	/* the one of a kexec that failed */
		pr_err("the next kernel may not learn that this one's measurements are not anchored (%d)\n",
		       rc);
}
#endif

/* The name of an entry, and whether the digest of what it measured is zeros */
static const char *__init
ima_tpm_entry(const struct ima_template_entry *entry, bool *zeros)
{
	const struct ima_template_desc *desc = entry->template_desc;
	const char *name = "";
	int i;

	*zeros = false;
	for (i = 0; i < desc->num_fields; i++) {
		const struct ima_field_data *field = &entry->template_data[i];
		const char *id = desc->fields[i]->field_id;
		size_t prefix = 0;

		if (!strcmp(id, "n") || !strcmp(id, "n-ng")) {
			/* There's a NUL behind each field, at the latest */
			name = field->data;
			continue;
		}
		if (!strcmp(id, "d-ng") || !strcmp(id, "d-ngv2"))
			/* "sha256:" and a NUL */
			prefix = min(strnlen(field->data, field->len) + 1,
				     field->len);
		else if (strcmp(id, "d"))
			continue;
		*zeros = !memchr_inv(field->data + prefix, 0,
				     field->len - prefix);
	}
	return name;
}

/**
 * ima_tpm_look_back() - see what kexec has carried over
 *
 * A kernel that had no TPM, or missed it, has left an entry that says so. One
 * that does not know of such entries, and was the first, has left a
 * boot_aggregate of zeros at the head of the list. Zeros mean nothing where this
 * kernel's boot_aggregate, the last one, is zeros too: the TPM may have no bank
 * for it. A boot_aggregate in between means nothing either: a file can have that
 * name, for ima_d_path(), and zeros, if it is opened for direct I/O.
 *
 * Context: IMA's initcall, with this kernel's boot_aggregate in the list, before
 *	    user space can take entries out of it.
 */
void __init ima_tpm_look_back(void)
{
	bool head = true, first = false, last = false, none = false;
	struct ima_queue_entry *qe;

	list_for_each_entry_rcu(qe, &ima_measurements, later, true) {
		bool zeros;
		const char *name = ima_tpm_entry(qe->entry, &zeros);

		if (!strcmp(name, tpm_missed_name)) {
			ima_tpm_carried_missed |= zeros;
		} else if (!strcmp(name, tpm_none_name)) {
			none |= zeros;
		} else if (!strcmp(name, boot_aggregate_name) ||
			   !strcmp(name, boot_aggregate_late_name)) {
			first |= head && zeros;
			last = zeros;
		}
		head = false;
	}
	ima_tpm_carried_none = none || (first && !last);
}

/*
 * The list has measurements that are not in the PCR, from before this kernel
 * found the TPM. Who checks one against the other sees that they differ, and
 * not why. The violation spoils the PCR as well, this TPM is extended.
 */
static void __init ima_tpm_carried(void)
{
	int rc;

	lockdep_assert_held(&ima_tpm_lock);

	WRITE_ONCE(ima_tpm_state, IMA_TPM_MISSED);
	pr_err("%s was not there for a kernel before this one: what that measured is not anchored in it\n",
	       dev_name(&ima_tpm_chip->dev));

	if (ima_tpm_carried_missed)
		return;
	rc = ima_tpm_record_missed();
	if (rc)
		pr_err("the missed TPM is not in the measurement list (%d)\n", rc);
}

/**
 * ima_tpm_decided() - tell what has become of a TPM that IMA has
 *
 * The list must be ready to take a record of what kexec has carried over.
 *
 * Context: IMA's initcall. May send commands to the TPM.
 */
void __init ima_tpm_decided(void)
{
	guard(mutex)(&ima_tpm_lock);

	/* Decided by the last look */
	if (!ima_tpm_chip)
		return;

	if (ima_tpm_carried_none || ima_tpm_carried_missed)
		ima_tpm_carried();
	else
		WRITE_ONCE(ima_tpm_state, IMA_TPM_ANCHORED);
}
