/* doctor: what is wrong with a training of these options. */
#include <jansson.h>
#include <stdio.h>

#include "app/command.h"
#include "app/commands.h"
#include "app/json_output.h"
#include "app/step_config.h"
#include "app/threads.h"
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

static vgg_status look_at_steps(const options *o, int threads, const dataset *set, const normalization *pixels,
                                doctor_findings *findings)
{
    doctor_setting setting = setting_of(o, threads);
    doctor_measures measures;
    VGG_TRY(doctor_measure(&setting, set, pixels, &measures));
    tell_measures(&measures);
    doctor_judge_start(&setting, &measures.start, findings);
    doctor_judge_steps(&setting, &measures, findings);
    return VGG_OK;
}

/* What the first find may explain all that the others would. */
static vgg_status look(const options *o, int threads, const shared_dataset *train, const shared_dataset *test,
                       doctor_findings *findings)
{
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
    return look_at_steps(o, threads, &train->set, &pixels, findings);
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
    bool whole = list != NULL;
    for (int i = 0; whole && i < findings->count; i++) {
        const doctor_finding *found = &findings->list[i];
        json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", found->name, "sureness",
                                doctor_sureness_names[found->sureness], "what", found->what, "seen", found->seen, "change",
                                found->change);
        whole = json_array_append_new(list, one) == 0;
    }
    if (whole) return list;
    json_decref(list);
    return NULL;
}

static vgg_status print_json(const doctor_findings *findings)
{
    json_t *object = json_pack("{s:o}", "findings", findings_json(findings));
    if (!object) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to print what was found");
    return json_output(object, " what was found");
}

static vgg_status report(const options *o, const doctor_findings *findings)
{
    if (o->json)
        VGG_TRY(print_json(findings));
    else
        print_text(findings);
    if (findings->count == 0) return VGG_OK;
    return vgg_fail(VGG_FOUND, "doctor: %d found, %s first: %s", findings->count, findings->list[0].name, findings->list[0].what);
}

vgg_status cmd_doctor(comm *c, const options *o)
{
    thread_plan plan;
    shared_dataset train = {0}, test = {0};
    doctor_findings findings = {.count = 0};
    VGG_TRY(threads_plan(c, o->threads, &plan));
    vgg_status status = open_data(c, o, &train, &test);
    if (status == VGG_OK) status = look(o, plan.threads, &train, &test, &findings);
    shared_dataset_close(&test);
    shared_dataset_close(&train);
    return status == VGG_OK ? report(o, &findings) : status;
}
