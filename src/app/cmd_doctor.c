/* doctor: what is wrong with a training of these options. */
#include <jansson.h>
#include <stdio.h>

#include "app/command.h"
#include "app/commands.h"
#include "app/doctor_charts.h"
#include "app/json_output.h"
#include "app/step_config.h"
#include "app/threads.h"
#include "base/json.h"
#include "report/metrics_file.h"
#include "vgg11/base/log.h"
#include "vgg11/doctor/data.h"
#include "vgg11/doctor/steps.h"
#include "vgg11/train/shared_dataset.h"

static vgg_status open_data(comm *c, const options *o, shared_dataset *train, shared_dataset *test)
{
    VGG_TRY(shared_dataset_open(c, o->data, DATASET_TRAIN, (uint32_t)o->train_samples, o->resize, o->resize_bug, train));
    return shared_dataset_open(c, o->data, DATASET_TEST, (uint32_t)o->test_samples, o->resize, o->resize_bug, test);
}

static doctor_setting setting_of(const options *o, int threads)
{
    return (doctor_setting){.init = o->init,
                            .normalize = o->normalize,
                            .seed = o->seed,
                            .precision = (vgg_precision)option_choice_index(option_precisions, o->precision),
                            .lr = o->lr,
                            .optimizer = optimizer_config_of(o, threads)};
}

static void tell_trial(const char *what, const doctor_trial *trial)
{
    if (trial->steps == 0) return;
    vgg_log(VGG_LOG_DEBUG, "%s lr %-7.3g loss %.4f -> %.4f in %d steps, gradient norm %.3g, clipped by %.3g, change %.2g", what,
            trial->lr, trial->losses[0], trial->losses[trial->steps - 1], trial->steps - 1, trial->norm, trial->scale,
            trial->change);
}

static void tell_measures(const doctor_measures *measures)
{
    const doctor_start *start = &measures->start;
    vgg_log(VGG_LOG_DEBUG, "start: loss %.4f, logits differ by %.3g", start->loss, start->spread);
    for (int i = 0; i < MODEL_LAYERS; i++)
        vgg_log(VGG_LOG_DEBUG, "%-5s root mean square: outputs %.3g, gradient %.3g; silent %.1f %%", model_layers[i].name,
                start->activation[i], start->gradient[i], 100 * start->silent[i]);
    tell_trial("asked:", &measures->asked);
    for (int i = 0; i < DOCTOR_RATES; i++) tell_trial("rate: ", &measures->rates[i]);
    tell_trial("wider:", &measures->wider);
}

typedef struct {
    doctor_findings findings;
    bool measured; /* steps were tried */
    doctor_measures measures;
} diagnosis;

static vgg_status look_at_steps(const options *o, int threads, const dataset *set, const normalization *pixels, diagnosis *d)
{
    doctor_setting setting = setting_of(o, threads);
    VGG_TRY(doctor_measure(&setting, set, pixels, &d->measures));
    d->measured = true;
    tell_measures(&d->measures);
    doctor_judge_start(&setting, &d->measures.start, &d->findings);
    doctor_judge_steps(&setting, &d->measures, &d->findings);
    return VGG_OK;
}

/* What the first find may explain all that the others would. */
static vgg_status look(const options *o, int threads, const shared_dataset *train, const shared_dataset *test, diagnosis *d)
{
    doctor_findings *findings = &d->findings;
    normalization pixels;
    normalization_find(o->normalize)->fill(&pixels, train->histogram);
    doctor_check_data(&train->set, &test->set, findings);
    if (doctor_data_is_void(findings)) return VGG_OK;
    doctor_check_scale(&pixels, train->histogram, findings);
    doctor_check_order(&train->set, !o->no_shuffle, findings);
    VGG_TRY(doctor_check_copies(&train->set, &test->set, findings));
    if (findings->count > 0 && findings->list[0].sureness == DOCTOR_CERTAIN) {
        vgg_log(VGG_LOG_INFO, "steps were not tried: mend the data first, and ask again");
        return VGG_OK;
    }
    return look_at_steps(o, threads, &train->set, &pixels, d);
}

static void print_text(const doctor_findings *findings)
{
    for (int i = 0; i < findings->count; i++) {
        const doctor_finding *found = &findings->list[i];
        printf("%s%d. %s (%s, %s)\n   seen:   %s\n   change: %s\n", i > 0 ? "\n" : "", i + 1, found->what,
               doctor_sureness_names[found->sureness], found->name, found->seen, found->change);
    }
    if (findings->count == 0) puts("nothing found");
}

/* NULL without memory. */
static json_t *findings_json(const doctor_findings *findings)
{
    json_t *list = json_array();
    for (int i = 0; i < findings->count; i++) {
        const doctor_finding *found = &findings->list[i];
        json_list_add(&list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", found->name, "sureness",
                                       doctor_sureness_names[found->sureness], "what", found->what, "seen", found->seen, "change",
                                       found->change));
    }
    return list;
}

static json_t *numbers_json(const double *values, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_list_add(&list, metrics_real(values[i]));
    return list;
}

static json_t *trial_json(const doctor_trial *trial)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "lr", metrics_real(trial->lr), "losses",
                     numbers_json(trial->losses, trial->steps), "grad_norm", metrics_real(trial->norm), "clip_scale",
                     metrics_real(trial->scale), "change", metrics_real(trial->change));
}

static json_t *rates_json(const doctor_measures *measures)
{
    json_t *list = json_array();
    for (int i = 0; i < DOCTOR_RATES; i++) json_list_add(&list, trial_json(&measures->rates[i]));
    return list;
}

static json_t *measures_json(const doctor_measures *measures)
{
    const doctor_start *start = &measures->start;
    const doctor_by_heart *heart = &measures->by_heart;
    return json_pack("{s:{s:o, s:o, s:o, s:o, s:o}, s:o, s:o, s:{s:o, s:o, s:i, s:b}}", "start", "loss", metrics_real(start->loss),
                     "spread", metrics_real(start->spread), "activation", numbers_json(start->activation, MODEL_LAYERS), "silent",
                     numbers_json(start->silent, MODEL_LAYERS), "gradient", numbers_json(start->gradient, MODEL_LAYERS), "asked",
                     trial_json(&measures->asked), "rates", rates_json(measures), "by_heart", "lr", metrics_real(heart->lr), "loss",
                     metrics_real(heart->loss), "steps", heart->steps, "learned", heart->learned);
}

static vgg_status print_json(const diagnosis *d)
{
    json_t *object = json_pack("{s:o, s:o}", "findings", findings_json(&d->findings), "measures",
                               d->measured ? measures_json(&d->measures) : json_null());
    if (!object) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to print what was found");
    return json_output(object, " what was found");
}

static vgg_status report(const options *o, const diagnosis *d)
{
    const doctor_findings *findings = &d->findings;
    if (o->json)
        VGG_TRY(print_json(d));
    else
        print_text(findings);
    if (d->measured && !o->json) doctor_charts_print(&d->measures);
    if (d->measured && o->plot) VGG_TRY(doctor_charts_draw(&d->measures, o->plot));
    if (findings->count == 0) return VGG_OK;
    return vgg_fail(VGG_FOUND, "doctor: %d found, %s first: %s", findings->count, findings->list[0].name, findings->list[0].what);
}

vgg_status cmd_doctor(comm *c, const options *o)
{
    thread_plan plan;
    shared_dataset train = {0}, test = {0};
    diagnosis d = {.measured = false};
    VGG_TRY(threads_plan(c, o->threads, &plan));
    vgg_status status = open_data(c, o, &train, &test);
    if (status == VGG_OK) status = look(o, plan.threads, &train, &test, &d);
    shared_dataset_close(&test);
    shared_dataset_close(&train);
    return status == VGG_OK ? report(o, &d) : status;
}
