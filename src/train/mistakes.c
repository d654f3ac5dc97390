#include "train/mistakes.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/data/png_file.h"
#include "vgg11/nn/loss.h"

static bool comes_before(const evaluation_mistake *a, const evaluation_mistake *b)
{
    return a->probability > b->probability || (a->probability == b->probability && a->image < b->image);
}

/* The list stays sorted; what does not fit any more falls out at its end. */
static void insert(evaluation_mistakes *mistakes, const evaluation_mistake *mistake)
{
    uint32_t place = mistakes->count;
    while (place > 0 && comes_before(mistake, &mistakes->list[place - 1])) place--;
    if (place == EVALUATION_MISTAKES) return;
    if (mistakes->count < EVALUATION_MISTAKES) mistakes->count++;
    evaluation_mistake *to = mistakes->list + place;
    memmove(to + 1, to, (mistakes->count - 1 - place) * sizeof *to);
    *to = *mistake;
}

void mistakes_add(evaluation_mistakes *mistakes, uint32_t image, uint8_t label, const float *logits)
{
    double probability[DATASET_CLASSES];
    int answer = loss_first_largest(logits);
    if (answer == label) return;
    loss_softmax(logits, probability);
    if (!isfinite(probability[answer])) return;
    evaluation_mistake mistake = {.image = image, .label = label, .answer = (uint16_t)answer, .probability = probability[answer]};
    insert(mistakes, &mistake);
}

vgg_status mistakes_merge(comm *c, evaluation_mistakes *mistakes)
{
    size_t ranks = (size_t)comm_size(c);
    evaluation_mistakes *all = calloc(ranks, sizeof *all);
    vgg_status status = comm_agree(c, all ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "no memory for the mistakes of all ranks"));
    if (status == VGG_OK) {
        comm_gather_all(c, mistakes, sizeof *mistakes, all);
        memset(mistakes, 0, sizeof *mistakes);
        for (size_t rank = 0; rank < ranks; rank++)
            for (uint32_t i = 0; i < all[rank].count; i++) insert(mistakes, &all[rank].list[i]);
    }
    free(all);
    return status;
}

run_mistake evaluation_tell_mistake(const evaluation_mistake *mistake)
{
    return (run_mistake){
        .image = mistake->image, .label = mistake->label, .answer = mistake->answer, .probability = mistake->probability};
}

/* Without a picture the mistake is worth telling, too. */
static void draw(const dataset *set, run_mistake *told)
{
    const uint8_t *pixels = set->images + (size_t)dataset_place(set, told->image) * DATASET_PIXELS;
    void *png = NULL;
    vgg_kept_message kept = vgg_keep_message();
    png_picture picture = {.rows = DATASET_SIDE, .columns = DATASET_SIDE, .grey = (uint8_t *)pixels};
    if (png_file_encode(&picture, &png, &told->png_bytes) == VGG_OK) told->png = png;
    vgg_restore_message(&kept);
}

void mistakes_tell(const evaluation_mistakes *mistakes, const dataset *set, run_mistake told[EVALUATION_MISTAKES])
{
    memset(told, 0, EVALUATION_MISTAKES * sizeof *told);
    for (uint32_t i = 0; i < mistakes->count; i++) {
        told[i] = evaluation_tell_mistake(&mistakes->list[i]);
        draw(set, &told[i]);
    }
}

void mistakes_forget(run_mistake told[EVALUATION_MISTAKES])
{
    for (int i = 0; i < EVALUATION_MISTAKES; i++) free((void *)told[i].png);
}
