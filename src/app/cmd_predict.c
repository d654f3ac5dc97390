/* predict: the digit in each picture of some files, by a checkpoint. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "app/command.h"
#include "app/commands.h"
#include "app/json_output.h"
#include "app/step_config.h"
#include "app/threads.h"
#include "app/trained_network.h"
#include "base/json.h"
#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"
#include "vgg11/data/batch.h"
#include "vgg11/data/picture.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

enum { PREDICT_BATCH = 32, NOTES_BYTES = 128 };

/* A picture that was asked about. */
typedef struct {
    const char *path;
    bool numbered; /* its file may hold others */
    uint32_t index;
    picture_facts facts;
} question;

/* What the network says of it. */
typedef struct {
    double probability[MODEL_CLASSES];
    int digit;
    int second;
} answer;

typedef struct {
    network *net;
    const float *weights;
    normalization pixels;
    picture_style style;
    uint32_t most; /* pictures of an IDX file; 0: all */
    json_t *list;  /* of predictions, if JSON is asked for; else NULL */
    json_t *refused;
    uint8_t images[PREDICT_BATCH * DATASET_PIXELS];
    question questions[PREDICT_BATCH];
    int waiting;
    vgg_status status; /* of the first file that could not be read, and why */
    vgg_kept_message message;
} prediction;

static vgg_status no_memory(void) { return vgg_fail(VGG_UNAVAILABLE, "not enough memory for the results"); }

static answer answer_of(const float *logits)
{
    answer a = {.digit = loss_first_largest(logits), .second = -1};
    loss_softmax(logits, a.probability);
    for (int k = 0; k < MODEL_CLASSES; k++) {
        if (k != a.digit && (a.second < 0 || logits[k] > logits[a.second])) a.second = k;
    }
    return a;
}

/* NULL without memory. */
static json_t *probabilities_json(const answer *a)
{
    json_t *list = json_array();
    for (int k = 0; k < MODEL_CLASSES; k++) json_list_add(&list, json_real(a->probability[k]));
    return list;
}

static vgg_status add_json(json_t *list, const question *q, const answer *a)
{
    json_t *one = json_pack("{s:s, s:I, s:i, s:i, s:b, s:b, s:b, s:i, s:o}", "file", q->path, "index", (json_int_t)q->index, "rows",
                            (int)q->facts.rows, "columns", (int)q->facts.columns, "inverted", q->facts.inverted, "squared",
                            q->facts.squared, "blank", q->facts.blank, "digit", a->digit, "probabilities", probabilities_json(a));
    return json_array_append_new(list, one) == 0 ? VGG_OK : no_memory();
}

static void print_name(const question *q)
{
    for (const char *byte = q->path; *byte; byte++) putchar((unsigned char)*byte < ' ' || *byte == 0x7f ? '?' : *byte);
    if (q->numbered) printf("[%" PRIu32 "]", q->index);
}

/* "  (inverted; 300x200 made a square)" */
static void print_notes(const picture_facts *facts)
{
    char square[NOTES_BYTES] = "";
    if (facts->squared) snprintf(square, sizeof square, "%" PRIu32 "x%" PRIu32 " made a square", facts->columns, facts->rows);
    const char *notes[] = {facts->blank ? "blank: all pixels are the same" : "", facts->inverted ? "inverted" : "", square};
    const char *between = "  (";
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        if (!*notes[i]) continue;
        printf("%s%s", between, notes[i]);
        between = "; ";
    }
    if (*between == ';') putchar(')');
}

static void print_answer(const question *q, const answer *a)
{
    print_name(q);
    printf(": %d  %.2f %%, then %d  %.2f %%", a->digit, 100 * a->probability[a->digit], a->second, 100 * a->probability[a->second]);
    print_notes(&q->facts);
    putchar('\n');
}

static vgg_status tell(prediction *p, const question *q, const float *logits)
{
    answer a = answer_of(logits);
    if (!isfinite(a.probability[a.digit]))
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: the network's outputs are not finite numbers", q->path);
    if (p->list) return add_json(p->list, q, &a);
    print_answer(q, &a);
    return VGG_OK;
}

/* All that wait. */
static vgg_status predict_batch(prediction *p)
{
    static const uint8_t no_labels[PREDICT_BATCH];
    uint8_t labels[PREDICT_BATCH];
    uint32_t order[PREDICT_BATCH], count = (uint32_t)p->waiting;
    if (count == 0) return VGG_OK;
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    const dataset set = {.images = p->images, .labels = no_labels, .count = count};
    batch_fill(&set, &p->pixels, order, count, network_input(p->net), labels);
    const float *logits = network_forward(p->net, p->weights, (int)count);
    for (uint32_t i = 0; i < count; i++) VGG_TRY(tell(p, &p->questions[i], logits + (size_t)i * MODEL_CLASSES));
    p->waiting = 0;
    return VGG_OK;
}

/* A file that cannot be read is no reason not to look at the others. The first is what the program ends with, and each is one line. */
static vgg_status pass_over(prediction *p, const char *path, vgg_status status)
{
    json_t *one = p->refused ? json_pack("{s:s, s:s}", "file", path, "error", vgg_message()) : NULL;
    if (p->refused && json_array_append_new(p->refused, one) != 0) return no_memory();
    if (p->status != VGG_OK) {
        vgg_log(VGG_LOG_WARNING, "%s", vgg_message());
        return VGG_OK;
    }
    p->status = status;
    p->message = vgg_keep_message();
    return VGG_OK;
}

static vgg_status read_pictures(prediction *p, const char *path, picture_reader *reader)
{
    uint32_t count = picture_count(reader);
    if (p->most > 0 && p->most < count) count = p->most;
    for (uint32_t i = 0; i < count; i++) {
        question *q = &p->questions[p->waiting];
        *q = (question){.path = path, .numbered = picture_is_numbered(reader), .index = i};
        vgg_status status = picture_next(reader, p->images + (size_t)p->waiting * DATASET_PIXELS, &q->facts);
        if (status != VGG_OK) return pass_over(p, path, status);
        if (++p->waiting == PREDICT_BATCH) VGG_TRY(predict_batch(p));
    }
    return VGG_OK;
}

static vgg_status read_file(prediction *p, const char *path)
{
    picture_reader *reader;
    vgg_status status = picture_open(path, &p->style, &reader);
    if (status != VGG_OK) return pass_over(p, path, status);
    status = read_pictures(p, path, reader);
    picture_close(reader);
    return status;
}

static vgg_status read_files(prediction *p, const options *o)
{
    for (int i = 0; i < o->argument_count; i++) VGG_TRY(read_file(p, o->arguments[i]));
    return predict_batch(p);
}

static vgg_status print_json(const prediction *p, const options *o, const training_facts *facts)
{
    json_t *object = json_pack("{s:s, s:I, s:s, s:O, s:O}", "checkpoint", o->checkpoint, "step", (json_int_t)facts->step, "resize",
                               p->style.filter->name, "predictions", p->list, "errors", p->refused);
    if (!object) return no_memory();
    return json_output(object, " the results");
}

static void tell_training(const options *o, const training_facts *facts, const picture_style *style)
{
    vgg_log(VGG_LOG_INFO, "%s, step %" PRIu64 ": pictures become 32x32 (%s), and digits %s", o->checkpoint, facts->step,
            style->filter->name, style->light_ground ? "dark on light ground, as trained" : "light on dark ground");
    if (facts->resize_bug)
        vgg_log(VGG_LOG_WARNING, "trained with --resize-bug: all but two of its training images were blank, so that it cannot tell "
                                 "digits from one another; vgg11_dist doctor --resize-bug says more");
}

static vgg_status open_network(prediction *p, const options *o, int threads, const training_facts *facts)
{
    network_config config = step_config_of(o, threads, NULL).network;
    config.precision = trained_network_precision(o, facts);
    config.batch_capacity = PREDICT_BATCH;
    config.node_ranks = 1;
    config.tune = false; /* it takes longer than a few pictures do */
    VGG_TRY(network_create(&config, &p->net));
    network_prepare(p->net, p->weights);
    if (!o->json) return VGG_OK;
    p->list = json_array();
    p->refused = json_array();
    return p->list && p->refused ? VGG_OK : no_memory();
}

static vgg_status predict(const options *o, int threads, prediction *p, const training_facts *facts)
{
    normalization_restore(&p->pixels, facts->mean, facts->deviation);
    p->style = (picture_style){.filter = resize_find(trained_network_resize(o, facts)), .light_ground = facts->mean > 0.5};
    p->most = (uint32_t)o->test_samples;
    tell_training(o, facts, &p->style);
    VGG_TRY(open_network(p, o, threads, facts));
    VGG_TRY(read_files(p, o));
    if (o->json) VGG_TRY(print_json(p, o, facts));
    vgg_restore_message(&p->message);
    return p->status;
}

vgg_status cmd_predict(comm *c, const options *o)
{
    thread_plan plan;
    prediction p = {.waiting = 0};
    if (!o->checkpoint) return vgg_fail(VGG_BAD_OPTION, "predict: --checkpoint FILE is missing");
    VGG_TRY(threads_plan(c, o->threads, &plan));
    size_t bytes = model_flat_count() * sizeof(float);
    void *weights = NULL;
    training_facts facts;
    vgg_status status = vgg_map(bytes, &weights);
    p.weights = weights;
    if (status == VGG_OK) status = trained_network_load(o->checkpoint, weights, &facts);
    if (status == VGG_OK) status = predict(o, plan.threads, &p, &facts);
    network_destroy(p.net);
    json_decref(p.list);
    json_decref(p.refused);
    vgg_unmap(weights, bytes);
    return status;
}
