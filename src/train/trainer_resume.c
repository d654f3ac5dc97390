/* Resuming: a checkpoint records how its run computed, and a resumed run computes in the same way where it can, whatever timing
 * would choose now. Where it cannot, a line says so, since sums in another order are rounded differently. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "train/trainer_impl.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

enum { RANKS_TEXT_MAX = 128 };

/* " threads=2@0,1@1-3" where ranks have different numbers of threads; else empty, since a checkpoint has rank 0's number anyway. */
static vgg_status describe_threads(const trainer *t, char text[RANKS_TEXT_MAX + 16])
{
    char mine[16], all[RANKS_TEXT_MAX];
    *text = '\0';
    if (comm_same(t->c, (uint64_t)t->config->step.network.threads)) return VGG_OK;
    snprintf(mine, sizeof mine, "%d", t->config->step.network.threads);
    VGG_TRY(comm_join_texts(t->c, mine, all, sizeof all));
    snprintf(text, RANKS_TEXT_MAX + 16, " threads=%s", all);
    return VGG_OK;
}

static vgg_status describe_processors(const trainer *t, char text[RANKS_TEXT_MAX])
{
    char mine[64];
    const cpu_features *cpu = cpu_detect();
    snprintf(mine, sizeof mine, "%s%s%s%s", cpu->avx2 ? "avx2" : "portable", cpu->avx512 ? "+avx512" : "",
             cpu->avx512_bf16 ? "+avx512_bf16" : "", cpu->amx_bf16 ? "+amx_bf16" : "");
    return comm_join_texts(t->c, mine, text, RANKS_TEXT_MAX);
}

/* What a timed choice of algorithms depends on, and the type of numbers sent between nodes. */
static vgg_status write_tuning_fingerprint(trainer *t)
{
    const train_config *config = t->config;
    char processors[RANKS_TEXT_MAX], threads[RANKS_TEXT_MAX + 16];
    VGG_TRY(describe_processors(t, processors));
    VGG_TRY(describe_threads(t, threads));
    if (strchr(processors, '@'))
        vgg_log(VGG_LOG_WARNING,
                "ranks have unlike processors, %s: they take the algorithms that all have, and the fast wait for the slow",
                processors);
    snprintf(t->tuning_fingerprint, sizeof t->tuning_fingerprint, "precision=%s conv=%.64s wire=%s factors=%d cpu=%s%s",
             config->step.network.precision == PRECISION_BF16 ? "bf16" : "fp32",
             config->step.network.conv ? config->step.network.conv : "auto",
             config->step.exchange.wire == WIRE_BF16 ? "bf16" : "fp32", config->step.factors, processors, threads);
    return VGG_OK;
}

static resume_record record_of(const checkpoint_state *state)
{
    resume_record record = {.ranks = state->ranks, .threads = state->threads, .micro_batches = state->micro_batches};
    snprintf(record.tuning_fingerprint, sizeof record.tuning_fingerprint, "%s", state->tuning_fingerprint);
    snprintf(record.exchange, sizeof record.exchange, "%s", state->exchange);
    snprintf(record.algorithms, sizeof record.algorithms, "%s", state->algorithms);
    return record;
}

/* Whether the checkpoint's run added up in the same order. With micro-batches the number of ranks changes no bit. The threads are
 * rank 0's: where others have more or fewer, the tuning fingerprint says so. */
static bool same_sums(const trainer *t)
{
    const resume_record *resumed_from = &t->resumed_from;
    bool same_ranks = resumed_from->ranks == comm_size(t->c) || resumed_from->micro_batches > 0;
    return same_ranks && resumed_from->threads == t->config->step.network.threads &&
           resumed_from->micro_batches == t->config->step.exchange.micro_batches;
}

/* On rank 0, whose result all ranks take, since `fits` depends on its own number of threads. */
static vgg_status find_checkpoint(trainer *t)
{
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_state state = {0};
    if (file_is_folder(t->config->resume))
        VGG_TRY(checkpoint_find_newest(t->config->resume, path));
    else
        snprintf(path, sizeof path, "%s", t->config->resume);
    vgg_status status = checkpoint_read_state(path, &state);
    if (status == VGG_OK) {
        t->resumed_from = record_of(&state);
        snprintf(t->resumed_from.path, sizeof t->resumed_from.path, "%s", path);
        t->resumed_from.fits = same_sums(t) && strcmp(t->resumed_from.tuning_fingerprint, t->tuning_fingerprint) == 0;
    }
    checkpoint_state_clear(&state);
    return status;
}

vgg_status trainer_find_resume(trainer *t)
{
    VGG_TRY(write_tuning_fingerprint(t));
    if (!t->config->resume) return VGG_OK;
    VGG_TRY(comm_agree(t->c, comm_rank(t->c) == 0 ? find_checkpoint(t) : VGG_OK));
    comm_broadcast(t->c, &t->resumed_from, sizeof t->resumed_from, 0);
    return VGG_OK;
}

const char *trainer_recorded_exchange(const trainer *t)
{
    const exchange_entry *entries;
    bool asked = t->config->resume && strcmp(t->config->step.exchange.name, "auto") == 0 &&
                 t->resumed_from.ranks == comm_size(t->c);
    for (size_t i = 0, count = exchange_entries(&entries); asked && i < count; i++) {
        if (strcmp(entries[i].name, t->resumed_from.exchange) == 0) return entries[i].name;
    }
    return NULL;
}

const char *trainer_recorded_algorithms(const trainer *t)
{
    return t->resumed_from.fits && *t->resumed_from.algorithms ? t->resumed_from.algorithms : NULL;
}

typedef struct {
    char text[1024];
    size_t used;
} reason_list;

__attribute__((format(printf, 2, 3))) static void add(reason_list *reasons, const char *format, ...)
{
    size_t room = sizeof reasons->text - reasons->used;
    if (reasons->used > 0 && room > 2) reasons->used += (size_t)snprintf(reasons->text + reasons->used, room, "; ");
    room = sizeof reasons->text - reasons->used;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(reasons->text + reasons->used, room, format, arguments);
    va_end(arguments);
    reasons->used += length < (int)room ? (size_t)length : room - 1;
}

/* Finds the first words, such as "conv2:a/b/c", in which two lines of algorithms differ. False if the lines are equal. */
static bool first_difference(const char *resumed_from, const char *now, vgg_range words[2])
{
    size_t at = 0, start = 0;
    while (resumed_from[at] == now[at] && resumed_from[at] != '\0') {
        if (resumed_from[at++] == ' ') start = at;
    }
    words[0] = (vgg_range){start, strcspn(resumed_from + start, " ")};
    words[1] = (vgg_range){start, strcspn(now + start, " ")};
    return resumed_from[at] != now[at];
}

static void add_algorithms(const trainer *t, reason_list *reasons)
{
    const char *resumed_from = t->resumed_from.algorithms, *now = t->algorithms;
    vgg_range words[2];
    if (!first_difference(resumed_from, now, words)) return;
    add(reasons, "algorithms are %.*s and were %.*s", (int)words[1].count, now + words[1].first,
        words[0].count < 100 ? (int)words[0].count : 100, resumed_from + words[0].first);
}

/* On rank 0. */
void trainer_tell_differences(const trainer *t)
{
    const resume_record *resumed_from = &t->resumed_from;
    reason_list reasons = {.used = 0};
    bool in_fixed_order = t->config->step.exchange.micro_batches > 0 || comm_size(t->c) == 1;
    if (!same_sums(t))
        add(&reasons, "it has %d ranks x %d threads with --micro-batches %d and had %d x %d with --micro-batches %d",
            comm_size(t->c), t->config->step.network.threads, t->config->step.exchange.micro_batches, resumed_from->ranks,
            resumed_from->threads, resumed_from->micro_batches);
    else if (*resumed_from->tuning_fingerprint && !in_fixed_order && strcmp(resumed_from->exchange, exchange_name(t->step.ex)) != 0)
        add(&reasons, "the exchange is %s and was %.40s", exchange_name(t->step.ex), resumed_from->exchange);
    if (!*resumed_from->tuning_fingerprint)
        add(&reasons, "the checkpoint does not say which exchange and algorithms it used");
    else if (strcmp(resumed_from->tuning_fingerprint, t->tuning_fingerprint) != 0)
        add(&reasons, "it has %s and had %.200s", t->tuning_fingerprint, resumed_from->tuning_fingerprint);
    else
        add_algorithms(t, &reasons);
    if (t->config->step.exchange.wire == WIRE_BF16 && comm_node_count(t->c) > 1)
        add(&reasons, "what rounding to bf16 on the wire took away is not carried over");
    if (reasons.used > 0)
        vgg_log(VGG_LOG_INFO, "the resumed run may not end in the same bits as an uninterrupted one: %s", reasons.text);
}
