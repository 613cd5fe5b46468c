/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat-systemd: asks systemd for a container's scope, changes it, ends it. A program of its own,
 * because moat is linked statically and libsystemd is not.
 *
 * start UNIT PID PROPERTY...: a scope with that process in it; returns when it is there.
 * set UNIT PROPERTY...: while it runs.
 * stop UNIT.
 *
 * PROPERTY is NAME=TYPE:VALUE with a D-Bus type: s, b, i, u, t, or ay in hexadecimal digits. Status
 * 0, or 1 with a line on stderr.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define NAME_MAX_LEN 64
#define BYTES_MAX    128
#define JOB_S	     30 /* for systemd to make the scope */

static const char service[] = "org.freedesktop.systemd1", object[] = "/org/freedesktop/systemd1",
		  manager[] = "org.freedesktop.systemd1.Manager";

static int
fail(const char *what, const sd_bus_error *e, int r)
{
	fprintf(stderr, "%s: %s\n", what, e && e->message ? e->message : strerror(-r));
	return 1;
}

static int
append_bytes(sd_bus_message *m, const char *hex)
{
	uint8_t bytes[BYTES_MAX];
	size_t n = strlen(hex) / 2;

	if (n > sizeof bytes)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		unsigned v;

		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			return -EINVAL;
		bytes[i] = (uint8_t)v;
	}
	return sd_bus_message_append_array(m, 'y', bytes, n);
}

/* As a variant. */
static int
append_value(sd_bus_message *m, const char *type, const char *value)
{
	int r = sd_bus_message_open_container(m, 'v', type);

	if (r < 0)
		return r;
	if (strcmp(type, "s") == 0)
		r = sd_bus_message_append(m, "s", value);
	else if (strcmp(type, "b") == 0)
		r = sd_bus_message_append(m, "b", strcmp(value, "true") == 0);
	else if (strcmp(type, "i") == 0)
		r = sd_bus_message_append(m, "i", atoi(value));
	else if (strcmp(type, "u") == 0)
		r = sd_bus_message_append(m, "u", (unsigned)strtoul(value, NULL, 10));
	else if (strcmp(type, "t") == 0)
		r = sd_bus_message_append(m, "t", (uint64_t)strtoull(value, NULL, 10));
	else if (strcmp(type, "ay") == 0)
		r = append_bytes(m, value);
	else
		r = -EINVAL;
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int
append_property(sd_bus_message *m, const char *text)
{
	const char *type = strchr(text, '='), *value = type ? strchr(type, ':') : NULL;
	char name[NAME_MAX_LEN], kind[4];
	int r;

	if (!value || type - text >= NAME_MAX_LEN || value - type - 1 >= (ptrdiff_t)sizeof kind)
		return -EINVAL;
	snprintf(name, sizeof name, "%.*s", (int)(type - text), text);
	snprintf(kind, sizeof kind, "%.*s", (int)(value - type - 1), type + 1);
	r = sd_bus_message_open_container(m, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", name);
	if (r >= 0)
		r = append_value(m, kind, value + 1);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int
append_properties(sd_bus_message *m, int n, char **list, uint32_t pid)
{
	int r = sd_bus_message_open_container(m, 'a', "(sv)");

	if (r >= 0 && pid)
		r = sd_bus_message_append(m, "(sv)", "PIDs", "au", 1, pid);
	for (int i = 0; i < n && r >= 0; i++)
		r = append_property(m, list[i]);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

struct job {
	const char *unit;
	char result[32];
	bool removed;
};

static int
job_removed(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	const char *path, *unit, *result;
	struct job *j = arg;
	uint32_t id;

	(void)e;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 &&
		strcmp(unit, j->unit) == 0) {
		snprintf(j->result, sizeof j->result, "%s", result);
		j->removed = true;
	}
	return 0;
}

static int
wait_for(sd_bus *bus, struct job *j)
{
	time_t end = time(NULL) + JOB_S;
	int r = 0;

	while (!j->removed && r >= 0 && time(NULL) < end) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, 1000000);
	}
	if (r < 0)
		return fail("cannot hear from systemd", NULL, r);
	if (!j->removed) {
		fprintf(stderr, "systemd did not make %s within %d s\n", j->unit, JOB_S);
		return 1;
	}
	if (strcmp(j->result, "done") != 0) {
		fprintf(stderr, "systemd could not make %s: %s\n", j->unit, j->result);
		return 1;
	}
	return 0;
}

static int
start(sd_bus *bus, const char *unit, uint32_t pid, int n, char **list)
{
	sd_bus_message *m = NULL, *reply = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct job job = {.unit = unit};
	int r = sd_bus_match_signal(
		bus, NULL, service, object, manager, "JobRemoved", job_removed, &job);

	if (r >= 0)
		r = sd_bus_message_new_method_call(
			bus, &m, service, object, manager, "StartTransientUnit");
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "fail");
	if (r >= 0)
		r = append_properties(m, n, list, pid);
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sa(sv))", 0);
	if (r >= 0)
		r = sd_bus_call(bus, m, 0, &e, &reply);
	r = r < 0 ? fail("StartTransientUnit", &e, r) : wait_for(bus, &job);
	sd_bus_error_free(&e);
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
	return r;
}

static int
set(sd_bus *bus, const char *unit, int n, char **list)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(
		bus, &m, service, object, manager, "SetUnitProperties");

	if (r >= 0)
		r = sd_bus_message_append(m, "sb", unit, 1);
	if (r >= 0)
		r = append_properties(m, n, list, 0);
	if (r >= 0)
		r = sd_bus_call(bus, m, 0, &e, NULL);
	r = r < 0 ? fail("SetUnitProperties", &e, r) : 0;
	sd_bus_error_free(&e);
	sd_bus_message_unref(m);
	return r;
}

/* One that has ended is gone by itself, unless it is kept as failed. */
static int
stop(sd_bus *bus, const char *unit)
{
	static const char gone[] = "org.freedesktop.systemd1.NoSuchUnit";
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = sd_bus_call_method(
		bus, service, object, manager, "StopUnit", &e, NULL, "ss", unit, "replace");

	if (r < 0 && !sd_bus_error_has_name(&e, gone))
		r = fail("StopUnit", &e, r);
	else
		r = 0;
	sd_bus_error_free(&e);
	e = SD_BUS_ERROR_NULL;
	if (r == 0)
		(void)sd_bus_call_method(
			bus, service, object, manager, "ResetFailedUnit", &e, NULL, "s", unit);
	sd_bus_error_free(&e);
	return r;
}

int
main(int argc, char **argv)
{
	sd_bus *bus = NULL;
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: moat-systemd start UNIT PID PROPERTY... | set UNIT "
				"PROPERTY... | stop UNIT\n");
		return 1;
	}
	r = geteuid() == 0 ? sd_bus_open_system(&bus) : sd_bus_open_user(&bus);
	if (r < 0)
		return fail("cannot reach systemd (does it run here?)", NULL, r);
	if (strcmp(argv[1], "start") == 0 && argc > 3)
		r = start(bus, argv[2], (uint32_t)strtoul(argv[3], NULL, 10), argc - 4, argv + 4);
	else if (strcmp(argv[1], "set") == 0)
		r = set(bus, argv[2], argc - 3, argv + 3);
	else
		r = stop(bus, argv[2]);
	sd_bus_flush_close_unref(bus);
	return r;
}
