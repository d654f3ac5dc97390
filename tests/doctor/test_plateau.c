/* The line about a loss that stands at chance: of losses as trainings have had them, and of each kind of rate. */
#include "vgg11/doctor/plateau.h"

#include <math.h>

#include "support/support.h"

static doctor_plateau plateau;
static run_observer observer;
static uint64_t step;

static void begin(uint64_t steps_per_epoch)
{
    run_start_event event = {.steps_per_epoch = steps_per_epoch};
    observer = doctor_plateau_observer(&plateau);
    observer.start(observer.context, &event);
    step = 0;
}

static void take(double loss, double rate)
{
    run_step_event event = {.step = ++step, .loss = loss, .lr = rate};
    observer.step(observer.context, &event);
}

/* A step with noise, as a batch has it, of `size`. */
static void take_noisy(double loss, double size, double rate)
{
    float noise;
    support_fill(&noise, 1, (unsigned)step + 1);
    take(loss + size * noise, rate);
}

START_TEST(a_loss_that_stands_at_chance_is_said_once)
{
    begin(188);
    for (int i = 0; i < 49; i++) take_noisy(2.3024, 0.03, 0.001);
    ck_assert(!plateau.said);
    take_noisy(2.3024, 0.03, 0.001);
    ck_assert(plateau.said);
    double sum = plateau.sum;
    for (int i = 0; i < 110; i++) take_noisy(2.3024, 0.03, 0.001);
    ck_assert_double_eq(plateau.sum, sum);
}
END_TEST

/* An eighth of 1,875 steps, in two blocks of 117. */
START_TEST(long_epochs_have_long_blocks)
{
    begin(1875);
    for (int i = 0; i < 233; i++) take_noisy(2.3, 0.03, 0.001);
    ck_assert(!plateau.said);
    take(2.3, 0.001);
    ck_assert(plateau.said);
}
END_TEST

/* Means over 25 steps of the question's setting with its loop mended (81 % at the end), and of what begins to learn more slowly. */
START_TEST(a_loss_that_falls_is_left_alone)
{
    static const double means[][8] = {{2.2701, 2.152, 1.9884, 1.7679, 1.5448, 1.277, 1.0651, 0.8546},
                                      {2.3025, 2.289, 2.270, 2.240, 2.20, 2.1, 1.9, 1.5}};
    for (int k = 0; k < 2; k++) {
        begin(188);
        for (int i = 0; i < 200; i++) take_noisy(means[k][i / 25], 0.02, 0.001);
        ck_assert(!plateau.said);
    }
}
END_TEST

START_TEST(a_loss_elsewhere_is_left_alone)
{
    static const double levels[] = {0.5, 2.2, 2.4, 1.1704, 30, NAN};
    for (size_t k = 0; k < sizeof levels / sizeof *levels; k++) {
        begin(188);
        for (int i = 0; i < 300; i++) take_noisy(levels[k], 0.03, 0.001);
        ck_assert_msg(!plateau.said, "%g", levels[k]);
    }
}
END_TEST

/* A hundred steps of warm-up, in which little moves, of which the last has the rate that counts. */
START_TEST(warm_up_does_not_count)
{
    begin(469);
    for (int i = 0; i < 100; i++) take_noisy(2.3026, 0.01, 0.0005 * (i + 1));
    ck_assert(!plateau.said);
    for (int i = 0; i < 56; i++) take_noisy(2.3026, 0.01, 0.05 - 1e-5 * i);
    ck_assert(!plateau.said);
    take_noisy(2.3026, 0.01, 0.04);
    ck_assert(plateau.said);
}
END_TEST

START_TEST(what_a_rollback_left_does_not_count)
{
    begin(188);
    for (int i = 0; i < 45; i++) take(2.3026, 0.001);
    observer.rollback(observer.context, &(run_rollback_event){.step = 20});
    for (int i = 0; i < 49; i++) take(2.3026, 0.001);
    ck_assert(!plateau.said);
    take(2.3026, 0.001);
    ck_assert(plateau.said);
}
END_TEST

/* A training that falls back to chance later has stopped learning, too. */
START_TEST(a_collapse_is_said)
{
    begin(188);
    for (int i = 0; i < 500; i++) take_noisy(0.2, 0.1, 0.05);
    for (int i = 0; i < 25; i++) take_noisy(2.3026, 0.03, 0.05);
    ck_assert(!plateau.said);
    for (int i = 0; i < 25; i++) take_noisy(2.3026, 0.03, 0.05);
    ck_assert(plateau.said);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plateau");
    TCase *tests = tcase_create("plateau");
    tcase_add_test(tests, a_loss_that_stands_at_chance_is_said_once);
    tcase_add_test(tests, long_epochs_have_long_blocks);
    tcase_add_test(tests, a_loss_that_falls_is_left_alone);
    tcase_add_test(tests, a_loss_elsewhere_is_left_alone);
    tcase_add_test(tests, warm_up_does_not_count);
    tcase_add_test(tests, what_a_rollback_left_does_not_count);
    tcase_add_test(tests, a_collapse_is_said);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
