/* What measurements with a planted fault are taken to mean. The sound ones are near those of the program's defaults. */
#include <math.h>
#include <string.h>

#include "support/support.h"
#include "vgg11/doctor/steps.h"

static doctor_setting setting;
static doctor_measures measures;
static doctor_findings findings;

/* The loss goes from 4 to `last` in equal parts. */
static doctor_trial trial(double lr, double last)
{
    doctor_trial t = {.lr = lr, .steps = DOCTOR_STEPS, .norm = 70, .scale = 0.02, .change = lr / 100};
    for (int i = 0; i < DOCTOR_STEPS; i++) t.losses[i] = 4 + (last - 4) * i / (DOCTOR_STEPS - 1);
    return t;
}

static doctor_trial ran_away(double lr) { return (doctor_trial){.lr = lr, .losses = {4, NAN}, .steps = 2}; }

static void set_up(void)
{
    static const double last[DOCTOR_RATES] = {3.95, 3.6, 1.8, 0.24, 1.5, 0};
    findings.count = 0;
    setting = (doctor_setting){.init = "he", .normalize = "standard", .lr = 0.05, .optimizer = {.momentum = 0.9f, .clip_norm = 1}};
    measures = (doctor_measures){.start = {.loss = 4, .spread = 0.6}, .asked = trial(0.05, 0.6)};
    for (int i = 0; i < MODEL_LAYERS; i++)
        measures.start.activation[i] = 2, measures.start.silent[i] = 0.39, measures.start.gradient[i] = 0.03;
    for (int i = 0; i < DOCTOR_RATES; i++) measures.rates[i] = trial(pow(10, i - 5), last[i]);
    measures.rates[DOCTOR_RATES - 1] = ran_away(1);
    measures.by_heart = (doctor_by_heart){.lr = 0.01, .loss = 0.019, .steps = 17, .learned = true};
}

static const char *first(void)
{
    doctor_judge_start(&setting, &measures.start, &findings);
    doctor_judge_steps(&setting, &measures, &findings);
    return findings.count > 0 ? findings.list[0].name : "nothing";
}

START_TEST(sound_measurements_have_nothing) { ck_assert_str_eq(first(), "nothing"); }
END_TEST

START_TEST(a_signal_that_vanishes)
{
    setting.init = "glorot", setting.normalize = "unit";
    measures.start.spread = 2e-4;
    measures.start.activation[0] = 0.045, measures.start.activation[MODEL_LAYERS - 1] = 0.001;
    measures.asked = trial(0.05, 3.99);
    ck_assert_str_eq(first(), "vanishing-signal");
    ck_assert_int_eq(findings.count, 1);
    ck_assert_ptr_nonnull(strstr(findings.list[0].seen, "falls 45-fold from conv1"));
    ck_assert_ptr_nonnull(strstr(findings.list[0].change, "--init he; and standardise the inputs: --normalize standard"));
}
END_TEST

START_TEST(a_layer_that_is_dead)
{
    measures.start.silent[4] = 1;
    measures.start.spread = 0;
    ck_assert_str_eq(first(), "dead-layer");
    ck_assert_str_eq(findings.list[0].what, "conv5 is dead: its ReLUs let nothing through");
}
END_TEST

START_TEST(a_rate_that_is_too_small)
{
    setting.lr = 0.0005;
    measures.asked = trial(0.0005, 2.7);
    ck_assert_str_eq(first(), "rate-too-small");
    ck_assert_str_eq(findings.list[0].change, "try --lr 0.01");
}
END_TEST

START_TEST(a_rate_that_is_too_large)
{
    setting.lr = 5;
    measures.asked = ran_away(5);
    ck_assert_str_eq(first(), "rate-too-large");
    ck_assert_int_eq(findings.list[0].sureness, DOCTOR_CERTAIN);
}
END_TEST

START_TEST(gradients_that_are_clipped_away)
{
    setting.optimizer.clip_norm = 0.001f;
    measures.asked = trial(0.05, 3.9);
    measures.wider = trial(0.05, 0.6);
    for (int i = 0; i < DOCTOR_RATES; i++) measures.rates[i] = trial(pow(10, i - 5), 4 - 0.4 * i);
    ck_assert_str_eq(first(), "clip-too-small");
    ck_assert_int_eq(findings.count, 1);
}
END_TEST

START_TEST(clipping_that_does_no_harm)
{
    setting.optimizer.clip_norm = 0.5f;
    measures.wider = trial(0.05, 0.5);
    ck_assert_str_eq(first(), "nothing");
}
END_TEST

START_TEST(a_batch_that_is_not_learned_by_heart)
{
    measures.by_heart = (doctor_by_heart){.lr = 0.01, .loss = 0.7, .steps = DOCTOR_HEART_STEPS};
    ck_assert_str_eq(first(), "one-batch-not-learned");
    ck_assert_ptr_nonnull(strstr(findings.list[0].seen, "at a rate of 0.01, the best of those tried, the loss is 0.7;"));
    findings.count = 0;
    setting.optimizer.momentum = 0.999f; /* which explains it */
    ck_assert_str_eq(first(), "momentum");
    ck_assert(!doctor_has(&findings, "one-batch-not-learned"));
}
END_TEST

START_TEST(momentum_that_forgets_nothing)
{
    setting.optimizer.momentum = 0.999f;
    ck_assert_str_eq(first(), "momentum");
    ck_assert_ptr_nonnull(strstr(findings.list[0].seen, "about 1000 steps"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doctor_judge");
    TCase *cases = tcase_create("judge");
    tcase_add_checked_fixture(cases, set_up, NULL);
    tcase_add_test(cases, sound_measurements_have_nothing);
    tcase_add_test(cases, a_signal_that_vanishes);
    tcase_add_test(cases, a_layer_that_is_dead);
    tcase_add_test(cases, a_rate_that_is_too_small);
    tcase_add_test(cases, a_rate_that_is_too_large);
    tcase_add_test(cases, gradients_that_are_clipped_away);
    tcase_add_test(cases, clipping_that_does_no_harm);
    tcase_add_test(cases, a_batch_that_is_not_learned_by_heart);
    tcase_add_test(cases, momentum_that_forgets_nothing);
    suite_add_tcase(suite, cases);
    return support_run(suite, NULL);
}
