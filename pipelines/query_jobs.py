"""START HERE: record an org's Bulk API jobs. `python -m pipelines.query_jobs load|forward|check|report|…`
As an installed package, the same command is `bulk-jobs` (__main__.py).

The path of a record, package by package. Each imports only from those below it; `make lint` enforces that.

    query_jobs.py  starts, and explains what goes wrong (this file)
    commands.py    what each command does;  runs.py: load and forward;  command_line.py: their options
    diagnosis/     what is wrong
        init.py          asks for an org's keys, writes and tries them
        doctor.py        checks the set-up;  examination.py: its findings;  recorded_files.py
        usual_questions.py, open_questions.py: what it answers
        misspelt_settings.py, renamed_settings.py, ignored_settings.py;  run_errors.py: why a run failed
        earlier_runs.py  since when it fails, and which hosts have answered
    demo/          records the built-in org of demo_org/ on a simulated clock
    alerts/        what leaves this machine so that someone acts
        notify.py        one run of `check --notify`;  channels.py: sends, through Apprise;  settings.py: `[alerts]`
        events.py        what began, goes on, or is over;  messages.py: in words;  alert_state.py: what was sent
        ping.py          a dead man's switch for loads;  metrics.py: for Prometheus;  grafana.json: a dashboard of these

    recording/     from pages to rows to the primary database
        load.py          one run, from taking the lock to publishing;  run.py: its result;  progress.py: in a terminal
        fleet.py         a run of several orgs;  fleet_run.py: its result;  orgs_of_run.py: signs in to each
        side_by_side.py  waits for several orgs at once;  read_ahead.py: reads their pages;  package_writer.py: loads
        configured_names.py  what the settings call the orgs
        primary_identity.py  which primary database this is;  merging.py: rows into it, through dlt
        source.py        the dlt sources of a run;  merges.py: a dlt resource per table, and how it merges
        feeds.py         what differs between an org's listings;  snapshot.py: reads one, from first page to last
        listings.py      reads all of an org's at once;  feed_join.py: brings their jobs together
        shown_jobs.py    what its pages showed;  listing_row.py: its row in `listings`;  rejected_records.py: quarantine
        records.py       job records to Arrow tables
        history.py       what the warehouse already has;  changes.py: which listed jobs are new or different
        changed_jobs.py  passes these on;  missing_jobs.py: which jobs are no longer listed
        org_metadata.py  users' names, the org's name, its limits;  org_join.py: merges the two forms of an org's id
        job_details.py   fetches details of finished jobs, within the budget;  job_answer.py: one job's details
        detail_backlog.py  which jobs come first;  incomplete.py: what could not be fetched
        message_templates.py  groups similar error messages;  error_templates.py: fills them in for recorded rows
        job_results.py   reads why the records of loads failed;  results_backlog.py: of which;  load_results.py: of one
        result_rows.py   the failed rows of its results, as CSV, JSON or XML;  reason_tally.py: counts them by reason
        failure_reasons.py  a reason, free of record values;  record_error_text.py: the text of an error, taken apart
        salesforce_messages.py, status_codes.py: Salesforce's own words;  field_names.py: what can be a field's name
        kept_listings.py  listings that wait on disk while the primary database is locked
    answers/       what people ask of the published copy
        show.py          any view, as a table or a file;  output_file.py: what may be written
        check.py         problems that need attention;  findings/: the rules and their wording;  check_text.py: in print
        org_choice.py    which orgs --org means;  fleet.py: all of them at a glance
        pictures/        the questions of report and notebook, with numbers and wording
        charts.py        draws those over time;  ranked_charts.py, limit_charts.py: the others;  chart_style.py
        svg.py           a chart as SVG;  report_pngs.py: and as images;  page_text.py: text with its dates and job ids
        time_axis.py     the time range shown
        selection.py     which org, days and jobs;  report.py: one HTML page;  report_numbers.py: its numbers as JSON

    forwarding/    the published copy's changes to a database or lake that a company shares
        forward.py       one forward, from comparing to the new sent copy;  sending.py: what it does at the destination
        command.py       as asked for;  settings.py;  replacement.py: what a forward of everything may replace
        sent_copy.py     what was last sent, and the lock;  differences.py: what changed since
        delivery.py      through dlt;  database.py: keys, statistics, removed rows;  registry.py: which recorders
        destination_views.py  the views there;  dialects.py, dialect_rules.py: in each database's SQL
        lake.py          a lake instead of a database;  lake_files.py, lake_delta.py, lake_destination.py: its files
        lake_views.py    scripts for those who read it;  lake_errors.py: what it refuses
        destination_errors.py  what it refuses, in words, without secrets;  examination.py: for the doctor

    salesforce/    one org over HTTP; knows nothing of tables
        org.py           sends requests;  api_budget.py: how many;  org_clock.py: can its clock be trusted?
        job_pages.py     reads a listing, page by page, to its end
        sign_in.py       the four ways to sign in, sf_cli.py one of them;  session.py: the result;  session_renewal.py
        private_key.py   of one of the ways;  oauth_errors.py: what refusals mean
        org_id.py        which org this is;  ids.py: ids of 15 and 18 characters
        http_clients.py  requests and retries;  transport.py: limits on size and time of a response
        streaming.py     responses of any length, read part by part
        json_answers.py  decodes responses;  classic_xml.py: those in XML
        api_errors.py    error responses;  foreign_answers.py: those of others;  redaction.py: removes secrets
        connection_errors.py  no response at all;  proxies.py: on the way;  reached_hosts.py: which have answered
    warehouse/     the primary database and its published copy
        primary.py       the primary database;  empty_database.py: a new one;  file_locks.py: locks of files
        database_file.py how a DuckDB file is opened
        state_folder.py  the folder beside it;  file_identity.py: its identity;  dlt_packages.py: dlt's internals
        schema.py        columns and views (../views/);  short_names.py: those in `main`;  renamed_columns.py: migration
        state_spans.py   a derived table
        tables_page.py   writes docs/tables.md from tables.py and the views
        publish.py       publishes the copy;  copies.py: keeps one per day
        publishing_guards.py  what must not be overwritten, judged by contents.py: what a file contains
        restoring.py     how to restore the primary database;  damage.py: which part of a file is damaged
        reader.py        how it is read;  as_of.py: as it was earlier;  narrowed.py: of one org
        atomic_file.py   replaces files atomically;  sealed_json.py: JSON that cannot be damaged unnoticed

    config/        where things are: project, settings, credentials, orgs, and the settings that dlt gets to see
    tables.py      the columns of all tables; job_tables.py: those of jobs;  columns.py: what a column is
    errors.py      errors and their exit codes
    regular_files.py  refuses FIFOs and the like;  interrupts.py: Ctrl-C and SIGTERM;  streams.py: closed streams
    org_log.py     what is said on stderr, and which org it is about;  plural.py: numbers with their nouns
"""

import gc
import signal

if __name__ == "__main__":
    gc.disable()  # during the imports: collecting garbage among modules would take a tenth of a small run
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # end quietly until `main` can explain it; nothing has started yet
    from pipelines.config.dlt_variables import set_aside

    set_aside()  # before dlt is imported
    from pipelines.streams import open_missing_streams

    open_missing_streams()  # before the imports below open any file

import io
import logging
import os
import sys
from typing import NoReturn

from pipelines.command_line import command_line_parser
from pipelines.commands import COMMANDS
from pipelines.config.dlt_context import use_project
from pipelines.diagnosis.run_errors import failure_of
from pipelines.errors import RecorderError, exception_chain
from pipelines.interrupts import causing_signal, end_on_signals
from pipelines.org_log import say_failure, set_up, take_over

logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code (see `errors.py` and docs/operations.md, Exit codes)."""
    options = command_line_parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # printing must not fail because the terminal lacks a character
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    level = logging.INFO if options.verbose else logging.WARNING
    set_up(level, options.log_format)
    try:
        end_on_signals()
        use_project()
        take_over("dlt", (lambda entry: True) if options.verbose else _without_traceback)
        exit_code = int(COMMANDS[options.command](options))
        number = causing_signal(())  # a signal that a library swallowed
        return _stopped(number, options.command) if number else exit_code
    except BrokenPipeError:  # `doctor | head`: end as other Unix tools do
        return 128 + 13  # SIGPIPE, which Windows does not have
    except (Exception, KeyboardInterrupt) as error:
        return _explain(error, options.command, options.verbose)


def _explain(error: BaseException, command: str, verbose: bool) -> int:
    """Prints what went wrong to stderr, for the person who gets it by mail; returns the exit code."""
    if verbose:
        logger.error("Traceback (because of --verbose)", exc_info=error)
    if number := causing_signal(exception_chain(error)):
        return _stopped(number, command)
    failure = failure_of(error)
    say_failure(failure, failure.exit_code)
    return failure.exit_code


def _without_traceback(entry: logging.LogRecord) -> bool:
    """Drops log entries in which dlt reports an error that it also raises: `_explain` reports it in a sentence."""
    text = entry.getMessage()
    repeated = "Traceback", "was not fully loaded", "due to signal"
    return not (entry.exc_info or any(words in text for words in repeated))


def _stopped(number: int, command: str) -> int:
    """Reports that a signal has ended the run; returns the exit code that shells use for that."""
    what = "Terminated" if number == signal.SIGTERM else "Interrupted"
    again = command if command in ("forward", "check") else "load"
    say_failure(f"{what}. The next {again} picks up where this one stopped.", 128 + number)
    return 128 + number


def _leave(exit_code: int) -> NoReturn:
    """Ends the process without Python's cleanup: every file is closed by now, and destroying all of dlt's objects takes
    0.15 s per run."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # the parent process may have closed either
        try:
            stream.flush()
        except BrokenPipeError:  # the reader has gone
            pass
        except OSError:  # the disk is full
            exit_code = exit_code or RecorderError.exit_code
    os._exit(exit_code)


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    try:
        _leave(main())
    except SystemExit as leaving:  # of argparse
        _leave(int(leaving.code or 0))
    except KeyboardInterrupt as interrupt:  # while printing the last lines
        _leave(_stopped(causing_signal([interrupt]), "".join(sys.argv[1:2])))
