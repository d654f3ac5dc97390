/* Labels held against images, and one set against the other, by a simple classifier. */
#include "doctor/data_impl.h"
#include "doctor/probe.h"

/* What a look must gain to be taken for the right one, and what it may lack of what the training images gave. */
static const double gain_least = 0.2, lack_most = 0.15;

static double percent(const probe_score *score) { return 100 * probe_accuracy(score); }

/* Of a classifier that learns the labels which stand `shift` places from where they should. */
static probe_score try_shift(const dataset *set, int shift)
{
    probe p;
    probe_look look = {.set = set, .shift = shift};
    probe_learn(&p, &look);
    return probe_try(&p, &look);
}

/* The shift by which labels fit their images, and its score; 0 where none is better than how they stand. */
static int best_shift(const dataset *set, probe_score *best)
{
    int shift = 0;
    *best = try_shift(set, 0);
    double needed = probe_accuracy(best) + gain_least;
    for (int k = -PROBE_SHIFT_MAX; k <= PROBE_SHIFT_MAX; k++) {
        probe_score score = try_shift(set, k);
        if (probe_accuracy(&score) <= (shift ? probe_accuracy(best) : needed)) continue;
        shift = k;
        *best = score;
    }
    return shift;
}

static void say_shift(doctor_finding *found, const char *set, int shift)
{
    doctor_say(found->what, "the labels of the %s images are off by %s: that of image i stands at place i %c %d", set,
               shift == 1 || shift == -1 ? "one image" : "some images", shift < 0 ? '-' : '+', shift < 0 ? -shift : shift);
    doctor_say(found->change,
               "look for a sample that was left out, or counted twice, in one of the two %s files, or a header that was read "
               "as data",
               set);
}

/* The labels of training tell nothing of their images, as they stand. */
static void judge_training_labels(const dataset *train, const probe_score *score, doctor_findings *findings)
{
    probe_score best;
    int shift = best_shift(train, &best);
    if (shift != 0) {
        doctor_finding *found = doctor_add(findings, "shifted-labels", DOCTOR_CERTAIN);
        say_shift(found, "training", shift);
        doctor_say(found->seen,
                   "by the nearest mean image of each class %.1f %% of %u other images get their label (chance: %.1f %%), and "
                   "%.1f %% the one that stands there",
                   percent(score), score->images, 100 * probe_chance(score), percent(&best));
        return;
    }
    doctor_finding *found = doctor_add(findings, "unrelated-labels", DOCTOR_CERTAIN);
    doctor_say(found->what,
               "the labels of the training images have nothing to do with the images: they are shuffled, or those of other files");
    doctor_say(found->seen,
               "by the nearest mean image of each class %.1f %% of %u other images get their label, which is chance (%.1f %%); "
               "digits get theirs in 80 %%",
               percent(score), score->images, 100 * probe_chance(score));
    doctor_say(found->change,
               "take images and labels from the same set, and shuffle both by one and the same permutation, or neither");
}

/* How the test images have to be seen for the classifier to know them; false if in no way. */
static bool find_view(const probe *p, const dataset *test, const probe_score *plain, double expected, probe_look *found,
                      probe_score *best)
{
    *best = *plain;
    for (int way = 0; way < PROBE_ORIENTATIONS; way++) {
        for (int negative = 0; negative < 2; negative++) {
            probe_look look = {.set = test, .orientation = way, .negative = negative};
            probe_score score = probe_try(p, &look);
            if (probe_accuracy(&score) <= probe_accuracy(best)) continue;
            *found = look;
            *best = score;
        }
    }
    return probe_accuracy(best) > probe_accuracy(plain) + gain_least && probe_accuracy(best) > expected - lack_most;
}

static void say_seen(doctor_finding *found, const probe_score *trained, const probe_score *plain, const char *otherwise,
                     const probe_score *best)
{
    doctor_say(found->seen,
               "by the nearest mean training image of each class %.1f %% of %u other training images get their label, %.1f %% "
               "of %u test images, and %.1f %% of these %s",
               percent(trained), trained->images, percent(plain), plain->images, percent(best), otherwise);
}

static void judge_view(const probe_look *view, const probe_score *trained, const probe_score *plain, const probe_score *best,
                       doctor_findings *findings)
{
    const char *way = probe_orientations[view->orientation].name;
    doctor_finding *found = doctor_add(findings, view->negative ? "inverted-images" : "turned-images", DOCTOR_CERTAIN);
    if (view->negative)
        doctor_say(found->what, "the test images are the negative of the training images%s%s", view->orientation ? ", and " : "",
                   view->orientation ? way : "");
    else
        doctor_say(found->what, "the test images lie otherwise than the training images: %s", way);
    say_seen(found, trained, plain, "when seen so", best);
    doctor_say(found->change, "make the images of both sets in the same way: %s",
               view->negative ? "ink bright on dark, or dark on bright, in both" : "rows first, or columns first, in both");
}

/* A classifier learned from the training images does not know the test images. */
static void judge_test_images(const probe *p, const dataset *test, const probe_score *trained, const probe_score *plain,
                              doctor_findings *findings)
{
    probe_look view;
    probe_score best;
    if (find_view(p, test, plain, probe_accuracy(trained), &view, &best)) {
        judge_view(&view, trained, plain, &best, findings);
        return;
    }
    probe_score shifted;
    int shift = best_shift(test, &shifted);
    if (shift) {
        doctor_finding *found = doctor_add(findings, "shifted-test-labels", DOCTOR_CERTAIN);
        say_shift(found, "test", shift);
        say_seen(found, trained, plain, "the label that stands there", &shifted);
        return;
    }
    bool related = !probe_is_at_chance(plain);
    doctor_finding *found = related ? doctor_add(findings, "unlike-sets", DOCTOR_LIKELY)
                                    : doctor_add(findings, "unrelated-test-labels", DOCTOR_CERTAIN);
    doctor_say(found->what, related ? "the test images are unlike the training images"
                                    : "the labels of the test images have nothing to do with what the training set calls so");
    say_seen(found, trained, plain, "at best, however turned or inverted", &best);
    doctor_say(found->change, "make both sets from the same source in the same way");
}

void doctor_check_labels(const dataset *train, const dataset *test, doctor_findings *findings)
{
    probe p;
    probe_look look = {.set = train}, tested = {.set = test};
    probe_learn(&p, &look);
    probe_score trained = probe_try(&p, &look), plain = probe_try(&p, &tested);
    if (!probe_tells(&trained)) return;
    if (probe_is_at_chance(&trained))
        judge_training_labels(train, &trained, findings);
    else if (probe_tells(&plain) && probe_accuracy(&plain) < probe_accuracy(&trained) - gain_least)
        judge_test_images(&p, test, &trained, &plain, findings);
}
