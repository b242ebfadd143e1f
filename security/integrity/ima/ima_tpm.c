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

static const char tpm_missed_name[] = "tpm_missed";

enum ima_tpm_state {
	IMA_TPM_UNDECIDED,	/* IMA has not been initialised, or is disabled */
	IMA_TPM_ANCHORED,
	IMA_TPM_NONE,
	IMA_TPM_MISSED,
};

/* Serialises the decision that there is no TPM with the arrival of one. */
static DEFINE_MUTEX(ima_tpm_lock);
static enum ima_tpm_state ima_tpm_state;

/**
 * ima_tpm_status() - what became of the TPM
 *
 * Context: Any.
 * Return: "anchored": IMA has extended a TPM from its first measurement on;
 *	   "none": there is no TPM; "missed": there is one, but it came too late.
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
 * it could extend the digests of a list of his own. Extend what a violation is
 * extended with. That cannot be taken back, and no list leads to the value that
 * does not have this violation.
 */
static int ima_tpm_invalidate_pcr(struct tpm_chip *chip)
{
	struct tpm_digest *digests __free(kfree) =
		kzalloc_objs(*digests, chip->nr_allocated_banks);
	int i;

	if (!digests)
		return -ENOMEM;

	for (i = 0; i < chip->nr_allocated_banks; i++) {
		digests[i].alg_id = chip->allocated_banks[i].alg_id;
		memset(digests[i].digest, 0xff, sizeof(digests[i].digest));
	}
	return tpm_pcr_extend(chip, CONFIG_IMA_MEASURE_PCR_IDX, digests);
}

/* The list says so too, for whoever gets nothing but the list. */
static int ima_tpm_record_missed(void)
{
	struct ima_event_data event_data = {
		.filename = tpm_missed_name,
		.violation = "TPM missed",
	};
	struct ima_template_entry *entry;
	int rc;

	atomic_long_inc(&ima_num_violations);

	rc = ima_alloc_init_template(&event_data, &entry, NULL);
	if (rc < 0)
		return rc;
	rc = ima_store_template(entry, 1, NULL, tpm_missed_name,
				CONFIG_IMA_MEASURE_PCR_IDX);
	if (rc < 0)
		ima_free_template_entry(entry);
	return rc;
}

static void ima_tpm_missed(struct tpm_chip *chip)
{
	int rc;

	lockdep_assert_held(&ima_tpm_lock);

	WRITE_ONCE(ima_tpm_state, IMA_TPM_MISSED);
	pr_err("%s came after IMA had started without a TPM: no measurement of this boot is anchored in it\n",
	       dev_name(&chip->dev));

	rc = ima_tpm_invalidate_pcr(chip);
	if (rc)
		pr_err("PCR %d of %s not invalidated (%d): do not trust it\n",
		       CONFIG_IMA_MEASURE_PCR_IDX, dev_name(&chip->dev), rc);

	rc = ima_tpm_record_missed();
	if (rc)
		pr_err("the missed TPM is not in the measurement list (%d)\n", rc);
}

/**
 * ima_tpm_available() - tell IMA of a TPM
 * @chip: TPM that takes commands
 *
 * For the TPM core, before user space can use @chip, and again when
 * tpm_default_chip() can find it: whatever IMA decides in between, it learns of
 * @chip. A TPM that comes after IMA has started without one is reported, its
 * PCR is invalidated, and so is the measurement list. Measurements are not
 * replayed into it.
 *
 * Context: Process context, may sleep. Sends commands to @chip.
 */
void ima_tpm_available(struct tpm_chip *chip)
{
	/* The TPM of a container or of a test is nobody's root of trust. */
	if (chip->flags & TPM_CHIP_FLAG_VIRTUAL)
		return;

	guard(mutex)(&ima_tpm_lock);

	if (ima_tpm_state == IMA_TPM_NONE)
		ima_tpm_missed(chip);
}

/*
 * From here on a TPM is too late. The list must be ready to take a record, for
 * the TPM that has come since IMA looked for one.
 */
void __init ima_tpm_decided(void)
{
	struct tpm_chip *chip;

	scoped_guard(mutex, &ima_tpm_lock)
		ima_tpm_state = ima_tpm_chip ? IMA_TPM_ANCHORED : IMA_TPM_NONE;

	if (ima_tpm_chip)
		return;

	chip = tpm_default_chip();
	if (chip) {
		ima_tpm_available(chip);
		put_device(&chip->dev);
	}
}
