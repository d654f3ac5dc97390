/* Opening an exchange: the row that was named or that is chosen, and the reason. */
#include "exchange/exchange_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_exchange(exchange *ex)
{
    comm_shared_close(ex->node_scratch);
    blocks_close(&ex->blocks);
    micro_batches_close(&ex->micro_batches);
    free((void *)ex->config.segments);
    free(ex);
}

/* Scratch memory must be shared by all ranks. Micro-batches fix the order of a sum, which gradients in scratch memory would not
 * keep. */
static bool has_node_scratch(const comm *c, const exchange_config *config, const exchange_row *row)
{
    return config->node_scratch_bytes > 0 && config->micro_batches == 0 &&
           (c->size == 1 || (row->shares_memory && c->node_count == 1));
}

static vgg_status make_exchange(comm *c, const exchange_config *config, const exchange_row *row, exchange **out)
{
    exchange *ex = calloc(1, sizeof *ex);
    vgg_range *segments = malloc(config->segment_count * sizeof *segments + 1);
    if (!ex || !segments) {
        free(ex);
        free(segments);
        return vgg_fail(VGG_UNAVAILABLE, "no memory for the gradient exchange");
    }
    if (config->segment_count) memcpy(segments, config->segments, config->segment_count * sizeof *segments);
    *ex = (exchange){.row = row, .c = c, .config = *config};
    ex->config.segments = segments;
    ex->config.excluded = NULL;
    const bool *excluded = has_node_scratch(c, config, row) ? config->excluded : NULL;
    vgg_status status = blocks_open(&ex->blocks, config->count, segments, excluded, config->segment_count);
    if (status == VGG_OK) status = micro_batches_open(&ex->micro_batches, config, c->size);
    if (status != VGG_OK) {
        free_exchange(ex);
        return status;
    }
    *out = ex;
    return VGG_OK;
}

vgg_status exchange_open_row(comm *c, const exchange_config *config, const exchange_row *row, exchange **out)
{
    exchange *ex = NULL;
    vgg_status status = comm_agree(c, make_exchange(c, config, row, &ex));
    if (status == VGG_OK && has_node_scratch(c, config, row))
        status = comm_shared_open(c, config->node_scratch_bytes, &ex->node_scratch);
    if (status == VGG_OK) status = row->functions->open(ex);
    if (status != VGG_OK) {
        exchange_destroy(ex);
        return status;
    }
    ex->cost.memory_rank_bytes += micro_batches_memory_bytes(&ex->micro_batches);
    *out = ex;
    return VGG_OK;
}

static vgg_status refuse_name(const char *name)
{
    char names[256] = "auto";
    for (size_t i = 0; i < exchange_row_count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, ", %s", exchange_rows[i].name);
    }
    return vgg_fail(VGG_BAD_OPTION, "--exchange %s: there is no such exchange; there are %s", name, names);
}

static void give_reason(exchange *ex, const char *reason)
{
    snprintf(ex->reason, sizeof ex->reason, "%s (%.100s)", ex->config.name, reason ? reason : "named");
}

static vgg_status open_named(comm *c, const exchange_config *config, exchange **out)
{
    for (size_t i = 0; i < exchange_row_count; i++) {
        if (strcmp(exchange_rows[i].name, config->name) != 0) continue;
        vgg_status status = exchange_open_row(c, config, &exchange_rows[i], out);
        if (status == VGG_DECLINED) {
            char reason[VGG_MESSAGE_MAX];
            snprintf(reason, sizeof reason, "%s", vgg_message());
            return vgg_fail(VGG_UNAVAILABLE, "--exchange %.32s: %.900s", config->name, reason);
        }
        if (status == VGG_OK) give_reason(*out, config->reason);
        return status;
    }
    return refuse_name(config->name);
}

static void add_reason(exchange *ex, const char *text)
{
    size_t used = strlen(ex->reason);
    snprintf(ex->reason + used, sizeof ex->reason - used, "%s", text);
}

static void add_bucket(exchange *ex)
{
    char text[64];
    const char *why = ex->config.bucket_mib > 0 ? "given" : ex->config.tune ? "timed" : "not timed";
    snprintf(text, sizeof text, "; buckets of %d MiB (%s)", ex->bucket_mib, why);
    add_reason(ex, text);
}

vgg_status exchange_create(comm *c, const exchange_config *config, exchange **out)
{
    *out = NULL;
    VGG_TRY(micro_batches_check(config, c->size));
    VGG_TRY(strcmp(config->name, "auto") == 0 ? exchange_open_auto(c, config, out) : open_named(c, config, out));
    if ((*out)->bucket_mib > 0 && comm_size(c) > 1) add_bucket(*out);
    if (config->wire == WIRE_BF16 && !exchange_wire_is_bf16(*out))
        add_reason(*out, "; bf16 unused: nothing crosses a wire on one node");
    return VGG_OK;
}

void exchange_destroy(exchange *ex)
{
    if (!ex) return;
    ex->row->functions->close(ex);
    free_exchange(ex);
}
