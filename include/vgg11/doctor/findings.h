/* What is wrong with a training: each finding in words, with the numbers that show it and the change that would mend it. */
#ifndef VGG11_DOCTOR_FINDINGS_H
#define VGG11_DOCTOR_FINDINGS_H

#include <stdbool.h>

/* Certain: it is there to be counted. Likely: a measurement has few other explanations. Possible: it may be meant so. */
typedef enum { DOCTOR_CERTAIN, DOCTOR_LIKELY, DOCTOR_POSSIBLE } doctor_sureness;
extern const char *const doctor_sureness_names[];

enum { DOCTOR_FINDINGS_MAX = 32, DOCTOR_TEXT_MAX = 480 };

typedef struct {
    const char *name; /* "blank-images", for scripts and tests: a static text */
    doctor_sureness sureness;
    char what[DOCTOR_TEXT_MAX];   /* what is wrong */
    char seen[DOCTOR_TEXT_MAX];   /* the numbers that show it */
    char change[DOCTOR_TEXT_MAX]; /* what to do about it */
} doctor_finding;

/* The surest first; of equals, what was found first, which is what others may follow from. */
typedef struct {
    doctor_finding list[DOCTOR_FINDINGS_MAX];
    int count;
} doctor_findings;

/* Adds a finding in its place; the caller fills in its texts before it adds another. Each name is added once at most. */
doctor_finding *doctor_add(doctor_findings *findings, const char *name, doctor_sureness sureness);

/* Whether there is a finding of that name. */
bool doctor_has(const doctor_findings *findings, const char *name);

/* Writes one of a finding's texts, cut where it would be too long. */
void doctor_say(char text[DOCTOR_TEXT_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
