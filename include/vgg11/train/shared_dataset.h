/* A data set in node-shared memory: each rank decodes and resizes its part, and every rank can read every sample. Where a node gives no
 * shared memory, each rank has a copy of its own. */
#ifndef VGG11_TRAIN_SHARED_DATASET_H
#define VGG11_TRAIN_SHARED_DATASET_H

#include <stdbool.h>

#include "vgg11/base/status.h"
#include "vgg11/data/dataset.h"
#include "vgg11/comm/comm.h"

typedef struct {
    dataset set;
    comm_shared *memory; /* NULL: `copy` in its place */
    void *copy;          /* [copy_bytes] */
    size_t copy_bytes;
    char refused[VGG_MESSAGE_MAX]; /* why it is a copy; "" where it is none */
    uint64_t histogram[256];       /* of all pixels */
    uint64_t digest;               /* dataset_digest() of all of it */
} shared_dataset;

/* Collective; the same status on all ranks: VGG_DISAGREE if nodes read other images or labels. directory is NULL or a folder, as for
 * dataset_locate(); limit is a number of samples, 0 for all. shared_dataset_close() frees. */
vgg_status shared_dataset_open(comm *c, const char *directory, dataset_split split, uint32_t limit, const char *resize,
                               bool resize_bug, shared_dataset *out);

/* Warns if it is a copy. */
void shared_dataset_tell_copy(const shared_dataset *shared);

void shared_dataset_close(shared_dataset *shared);

#endif
