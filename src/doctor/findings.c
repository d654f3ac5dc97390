#include "vgg11/doctor/findings.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const doctor_sureness_names[] = {"certain", "likely", "possible"};

doctor_finding *doctor_add(doctor_findings *findings, const char *name, doctor_sureness sureness)
{
    int at = findings->count;
    assert(at < DOCTOR_FINDINGS_MAX);
    while (at > 0 && findings->list[at - 1].sureness > sureness) at--;
    doctor_finding *place = &findings->list[at];
    memmove(place + 1, place, (size_t)(findings->count - at) * sizeof *place);
    findings->count++;
    *place = (doctor_finding){.name = name, .sureness = sureness};
    return place;
}

bool doctor_has(const doctor_findings *findings, const char *name)
{
    for (int i = 0; i < findings->count; i++) {
        if (strcmp(findings->list[i].name, name) == 0) return true;
    }
    return false;
}

void doctor_say(char text[DOCTOR_TEXT_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, DOCTOR_TEXT_MAX, format, arguments);
    va_end(arguments);
}
