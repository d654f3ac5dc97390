/* Weight files for test_weight_files.py:
 *   weight_files write FORMAT FILE   makes one of random weights, those of the seed below, and, as FILE.checkpoint, the checkpoint
 *   weight_files read FILE...        reads each; a line with the status, and the format or, in its place, the message; 0 if all were good
 *   weight_files same FILE...        the same, and 1 unless the weights are those of the seed, the padding between tensors zero */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/saving.h"
#include "support/support.h"
#include "vgg11/base/memory.h"
#include "vgg11/checkpoint/weight_file.h"
#include "vgg11/nn/model.h"

enum { SEED = 7 };

static float *zeros(void)
{
    void *memory;
    if (vgg_map(model_flat_count() * sizeof(float), &memory) != VGG_OK) exit(VGG_UNAVAILABLE);
    return memory;
}

static void fill(float *weights)
{
    for (unsigned t = 0; t < MODEL_TENSORS; t++)
        support_fill(weights + model_tensors()[t].offset, model_tensors()[t].count, SEED + t);
}

static int write_files(const char *name, const char *path, const float *weights)
{
    char checkpoint[CHECKPOINT_PATH_MAX];
    const checkpoint_state state = {.position.step = 42, .pixel_mean = 0.1307, .pixel_deviation = 0.3081, .config_json = "{}"};
    snprintf(checkpoint, sizeof checkpoint, "%s.checkpoint", path);
    vgg_status status = weight_format_find(name)->write(path, &state, weights);
    if (status == VGG_OK) status = saving_save(checkpoint, 42, weights, weights);
    if (status != VGG_OK) fprintf(stderr, "%s\n", vgg_message());
    return status;
}

int main(int argc, char **argv)
{
    int status = 0;
    float *weights = zeros(), *read = zeros();
    if (argc > 2 && strcmp(argv[1], "read") != 0) fill(weights);
    memset(read, 1, model_flat_count() * sizeof *read);
    if (argc == 4 && strcmp(argv[1], "write") == 0) status = write_files(argv[2], argv[3], weights);
    for (int i = 2; i < argc && strcmp(argv[1], "write") != 0; i++) {
        const weight_format *format;
        vgg_status one = weight_file_read(argv[i], read, &format);
        bool same = one == VGG_OK && memcmp(weights, read, model_flat_count() * sizeof *read) == 0;
        printf("%d %s\n", (int)one, one == VGG_OK ? format->name : vgg_message());
        if (one != VGG_OK || (strcmp(argv[1], "same") == 0 && !same)) status = 1;
    }
    vgg_unmap(weights, model_flat_count() * sizeof *weights);
    vgg_unmap(read, model_flat_count() * sizeof *read);
    return status;
}
