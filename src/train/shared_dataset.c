#include "vgg11/train/shared_dataset.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"
#include "vgg11/data/batch.h"

/* Decodes samples `part` of the source. */
static vgg_status decode_part(const dataset_source *source, const char *resize, bool resize_bug, vgg_range part, uint8_t *images,
                              uint8_t *labels, shared_dataset *out)
{
    if (part.count == 0) return VGG_OK;
    uint8_t *my_images = images + part.first * DATASET_PIXELS;
    VGG_TRY(dataset_decode(source, resize_find(resize), resize_bug, part, my_images, labels + part.first));
    normalization_count(my_images, (uint32_t)part.count, out->histogram);
    out->digest = dataset_digest(my_images, labels + part.first, part);
    return VGG_OK;
}

/* Shared, or else this rank's own. */
static vgg_status open_memory(comm *c, size_t bytes, shared_dataset *out, void **memory)
{
    vgg_status status = comm_shared_open(c, bytes, &out->memory);
    if (status == VGG_OK) *memory = comm_shared_memory(out->memory);
    if (status != VGG_UNAVAILABLE) return status;
    snprintf(out->refused, sizeof out->refused, "%s", vgg_message());
    out->copy_bytes = bytes;
    status = vgg_map(bytes, &out->copy);
    *memory = out->copy;
    return comm_agree(c, status);
}

/* Of memory that a node shares, the part of this rank among those of its node: each node decodes the whole set once. */
static vgg_range own_part(const comm *c, const shared_dataset *shared, size_t count)
{
    if (!shared->memory) return (vgg_range){0, count};
    return range_part(count, (size_t)comm_node_size(c), (size_t)comm_node_rank(c));
}

/* Collective. What fails on some nodes and not on all is a matter of one, and its line says of which. */
static vgg_status agree(comm *c, vgg_status mine)
{
    if (comm_node_count(c) > 1 && comm_any(c, mine == VGG_OK) && mine != VGG_OK)
        mine = vgg_fail(mine, "rank %d on %s: %s", comm_rank(c), comm_host(c), vgg_message());
    return comm_agree(c, mine);
}

static vgg_status share(comm *c, const dataset_source *source, const char *resize, bool resize_bug, shared_dataset *out)
{
    size_t image_bytes = vgg_round_up((size_t)source->count * DATASET_PIXELS, VGG_ALIGNMENT_BYTES);
    void *memory = NULL;
    VGG_TRY(open_memory(c, image_bytes + source->count, out, &memory));
    uint8_t *images = memory, *labels = images + image_bytes;
    out->set = (dataset){.images = images, .labels = labels, .count = source->count};
    vgg_range part = own_part(c, out, source->count);
    VGG_TRY(agree(c, decode_part(source, resize, resize_bug, part, images, labels, out)));
    if (!out->memory) return VGG_OK;
    comm_shared_sync(c, out->memory);
    comm_node_sum_u64(c, out->histogram, 256);
    comm_node_sum_u64(c, &out->digest, 1);
    return VGG_OK;
}

/* Nodes read files of their own, which may have the same names and sizes and other bytes. */
static vgg_status agree_on_samples(comm *c, const char *directory, const shared_dataset *shared)
{
    char what[DATASET_PATH_MAX + 32], digest[24];
    snprintf(what, sizeof what, "what %s holds (as a digest)", directory);
    snprintf(digest, sizeof digest, "%016" PRIx64, shared->digest);
    return comm_agree_text(c, what, digest);
}

vgg_status shared_dataset_open(comm *c, const char *directory, dataset_split split, uint32_t limit, const char *resize,
                               bool resize_bug, shared_dataset *out)
{
    dataset_source source = {0};
    char found[DATASET_PATH_MAX];
    memset(out, 0, sizeof *out);
    vgg_status status = dataset_locate(directory, found);
    if (status == VGG_OK) status = dataset_open(found, split, limit, &source);
    VGG_TRY(agree(c, status));
    if (!comm_same(c, source.count)) status = vgg_fail(VGG_DISAGREE, "%s: ranks see different numbers of samples", found);
    VGG_TRY(comm_agree(c, status));
    status = share(c, &source, resize, resize_bug, out);
    if (status == VGG_OK) status = agree_on_samples(c, found, out);
    if (status != VGG_OK) shared_dataset_close(out);
    return status;
}

void shared_dataset_tell_copy(const shared_dataset *shared)
{
    if (*shared->refused) vgg_log(VGG_LOG_WARNING, "%s; each rank keeps a copy of the images for itself", shared->refused);
}

void shared_dataset_close(shared_dataset *shared)
{
    comm_shared_close(shared->memory);
    vgg_unmap(shared->copy, shared->copy_bytes);
    memset(shared, 0, sizeof *shared);
}
