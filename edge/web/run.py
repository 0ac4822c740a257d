"""`run --web`: a camera with its page, until Ctrl-C or until another release is current."""

import argparse
import contextlib
import os
from typing import Callable, Mapping, Optional

from edge.alerts.alerting import open_alerting
from edge.board import Board, current_name
from edge.camera import is_lent
from edge.choice import open_network
from edge.contract.errors import UsageError
from edge.contract.results import Outcome
from edge.loop import Manner, run_loop
from edge.serve import Learnt, replayed
from edge.sources import find_feed
from edge.tally import Tally
from edge.verbs import open_learned, this_release
from edge.watch import Speaker, outcome_of
from edge.web.address import parse_address
from edge.web.page import Settings, open_page

_LENT_S = 1.0


def run_with_page(
    board: Board,
    options: argparse.Namespace,
    print_line: Callable[[str], None],
    ask_password: Callable[[str], Optional[str]],
    environment: Mapping[str, str],
) -> Outcome:
    """As `run`, but a film or a folder is shown again and again at its own pace.

    With `left` among the outcome's fields, another release is current. Parameters and errors as those of open_page().
    """
    _refuse_others(options)
    settings = Settings(
        parse_address(options.web),
        options.tls,
        options.keep_pictures,
        options.person,
        options.metrics,
        options.collect,
    )
    feed = find_feed(options.source[0])
    feed = feed if feed.live else replayed(feed)
    manner = Manner(options.max_fps, options.skip_still, options.smooth, options.min_score)
    release = this_release()
    name = os.path.basename(release.path)
    say, tally = Speaker(print_line, options.json, several=False), Tally()
    with open_learned(board) as store:
        network = open_network(board, release, options.engine, say.line, options.threads)
        learnt = Learnt(release, network, store, options.false_alarms)
        learnt.read()  # its labels are those that a rule may have
        with contextlib.ExitStack() as stack:
            alerting = stack.enter_context(
                open_alerting(options, lambda: learnt.classifier, store, [feed.name], say.alert, say.line)
            )
            page = stack.enter_context(
                open_page(board, release.path, learnt, settings, ask_password, environment, alerting)
            )
            for line in page.lines:
                say.line(line)
            try:
                while current_name(board) == name:
                    if is_lent(board):
                        page.lent(_LENT_S)
                        continue
                    with contextlib.closing(run_loop([feed], learnt.classify, learnt.prepare, manner)) as answers:
                        for frame, answer in answers:
                            tally.add(answer)
                            say(frame, answer)
                            alerting.see(frame, answer)
                            page.show(frame, answer)
                            if is_lent(board) or current_name(board) != name:
                                break
            except KeyboardInterrupt:
                return outcome_of({feed.name: tally.summary()}, [])
    outcome = outcome_of({feed.name: tally.summary()}, [])
    return outcome._replace(fields=dict(outcome.fields, left=name))


def _refuse_others(options: argparse.Namespace) -> None:
    if len(options.source) > 1:
        raise UsageError("--web with {} sources".format(len(options.source)), "one", "start one `run` for each")
    given = (options.show, options.out, options.teach is not None, options.notice, options.no_look, options.profile)
    flags = ("--show", "--out", "--teach", "--notice", "--no-look", "--profile")
    for flag in (flag for flag, is_given in zip(flags, given) if is_given):
        raise UsageError("--web with {}".format(flag), "one of them", "teach on the page")
