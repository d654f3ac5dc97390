/* What measurements of the start and of some steps are taken to mean. */
#include <math.h>
#include <string.h>

#include "vgg11/doctor/steps.h"

bool doctor_ran_away(const doctor_trial *trial) { return trial->steps > 0 && trial->steps < DOCTOR_STEPS; }

double doctor_last_loss(const doctor_trial *trial) { return trial->losses[trial->steps - 1]; }

double doctor_progress(const doctor_trial *trial)
{
    if (trial->steps < DOCTOR_STEPS) return -INFINITY;
    return 1 - trial->losses[DOCTOR_STEPS - 1] / trial->losses[0];
}

const doctor_trial *doctor_best_rate(const doctor_measures *measures)
{
    const doctor_trial *best = &measures->rates[0];
    for (int i = 1; i < DOCTOR_RATES; i++) {
        if (doctor_progress(&measures->rates[i]) > doctor_progress(best)) best = &measures->rates[i];
    }
    return best;
}

/* Logits that differ by less from image to image say the same of all; layers of which so much is silent pass nothing on. */
static const double spread_least = 0.02, silent_most = 0.99;

static void judge_signal(const doctor_setting *setting, const doctor_start *start, doctor_findings *findings)
{
    const int last = MODEL_LAYERS - 1;
    bool he = strcmp(setting->init, "he") == 0, standard = strcmp(setting->normalize, "standard") == 0;
    if (start->spread >= spread_least) return;
    doctor_finding *found = doctor_add(findings, "vanishing-signal", DOCTOR_CERTAIN);
    doctor_say(found->what, "the images' signal is lost on its way through the layers: the network says the same to every image");
    doctor_say(
        found->seen,
        "with %s initialisation and inputs normalised by %s the root mean square of the outputs falls %.3g-fold from conv1 (%.2g) to "
        "fc4 (%.2g), where logits differ by %.2g from image to image; that of kernels' gradients is %.2g in conv1",
        setting->init, setting->normalize, start->activation[0] / start->activation[last], start->activation[0],
        start->activation[last], start->spread, start->gradient[0]);
    doctor_say(found->change, "%s%s%s", he ? "" : "initialise for networks with ReLU: --init he", he || standard ? "" : "; and ",
               standard ? "" : "standardise the inputs: --normalize standard");
}

static void judge_silence(const doctor_start *start, doctor_findings *findings)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        if (start->silent[i] < silent_most) continue;
        doctor_finding *found = doctor_add(findings, "dead-layer", DOCTOR_CERTAIN);
        doctor_say(found->what, "%s is dead: its ReLUs let nothing through", model_layers[i].name);
        doctor_say(found->seen, "%.1f %% of its %d outputs are zero for all images, so that no gradient gets past it",
                   100 * start->silent[i], model_layers[i].out);
        doctor_say(found->change, "begin with other weights: --init he, biases of zero, a lower rate");
        return;
    }
}

void doctor_judge_start(const doctor_setting *setting, const doctor_start *start, doctor_findings *findings)
{
    judge_silence(start, findings);
    if (!doctor_has(findings, "dead-layer")) judge_signal(setting, start, findings);
}

static void judge_momentum(const doctor_setting *setting, doctor_findings *findings)
{
    double momentum = setting->optimizer.momentum, steps = 1 / (1 - momentum);
    if (momentum <= 0.995) return;
    doctor_finding *found = doctor_add(findings, "momentum", DOCTOR_CERTAIN);
    doctor_say(found->what, "the momentum of %.6g is too near to 1", momentum);
    doctor_say(found->seen,
               "a gradient acts on for about %.0f steps after it was true, and steps add up to %.0f times the rate: %.3g in effect",
               steps, steps, steps * setting->lr);
    doctor_say(found->change, "--momentum 0.9, which remembers 10 steps");
}

static bool judge_clip(const doctor_setting *setting, const doctor_measures *measures, doctor_findings *findings)
{
    const doctor_trial *asked = &measures->asked, *wider = &measures->wider;
    if (wider->steps == 0 || doctor_progress(wider) < doctor_progress(asked) + 0.2) return false;
    doctor_finding *found = doctor_add(findings, "clip-too-small", DOCTOR_CERTAIN);
    doctor_say(found->what, "--clip-norm %.3g leaves too little of the gradients", (double)setting->optimizer.clip_norm);
    doctor_say(
        found->seen,
        "gradients have a norm of %.3g and are scaled by %.2g; a step changes weights by %.2g of their size, and %d steps on one batch "
        "leave the loss at %.3g (%.3g before); clipped to 1 they take it to %.3g",
        asked->norm, asked->scale, asked->change, DOCTOR_STEPS - 1, doctor_last_loss(asked), asked->losses[0],
        doctor_last_loss(wider));
    doctor_say(found->change, "--clip-norm 1");
    return true;
}

static void judge_rate(const doctor_setting *setting, const doctor_measures *measures, doctor_findings *findings)
{
    const doctor_trial *asked = &measures->asked, *best = doctor_best_rate(measures);
    double gone = doctor_progress(asked), most = doctor_progress(best);
    bool high = setting->lr > 5 * best->lr && most > 0.2 && gone < 0.1, low = setting->lr < best->lr / 5 && gone < 0.75 * most;
    if (!high && !low) return;
    doctor_finding *found = doctor_add(findings, high ? "rate-too-large" : "rate-too-small",
                                       high && doctor_ran_away(asked) ? DOCTOR_CERTAIN : DOCTOR_LIKELY);
    doctor_say(found->what, "the learning rate of %.3g is too %s", setting->lr, high ? "large" : "small");
    doctor_say(
        found->seen,
        "of rates from 1e-5 to 1 the loss of one batch falls furthest at %.3g: from %.3g to %.3g in %d steps; at %.3g it is then %.3g, "
        "and a step changes weights by %.2g of their size",
        best->lr, best->losses[0], doctor_last_loss(best), DOCTOR_STEPS - 1, setting->lr, doctor_last_loss(asked), asked->change);
    doctor_say(found->change, "try --lr %.3g", best->lr);
}

/* Where nothing else was found: what hinders is not the rate, nor clipping, nor the start. */
static void judge_by_heart(const doctor_by_heart *heart, doctor_findings *findings)
{
    if (heart->learned || findings->count > 0) return;
    doctor_finding *found = doctor_add(findings, "one-batch-not-learned", DOCTOR_LIKELY);
    doctor_say(found->what, "not even one batch can be learned by heart");
    doctor_say(found->seen,
               "after %d steps on the same %d images at a rate of %.3g, the best of those tried, the loss is %.3g; it should be "
               "nearly zero",
               heart->steps, DOCTOR_BATCH, heart->lr, heart->loss);
    doctor_say(found->change, "look whether images that are alike have different labels (vgg11_dist show), and regularise less: "
                              "--weight-decay 5e-4, --momentum 0.9");
}

void doctor_judge_steps(const doctor_setting *setting, const doctor_measures *measures, doctor_findings *findings)
{
    judge_momentum(setting, findings);
    if (doctor_has(findings, "vanishing-signal") || doctor_has(findings, "dead-layer")) return;
    if (!judge_clip(setting, measures, findings)) judge_rate(setting, measures, findings);
    judge_by_heart(&measures->by_heart, findings);
}
