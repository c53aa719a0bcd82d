"""Reads a folder of runs as TensorBoard does, and prints what it found as JSON.

Usage: read_events.py FOLDER

    {"scalars": {RUN: {TAG: [[step, value, wall_time], ...]}},
     "groups": [{"name": ..., "hparams": {...}, "metrics": {TAG: value}, "sessions": {RUN: {"status": ..., "start": ..., "end": ...}}}]}

Scalars come from the event accumulator; groups from the back end of the HParams tab.
"""

import json
import os
import sys

from google.protobuf import json_format
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, event_accumulator, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups


def scalars(folder):
    accumulator = event_accumulator.EventAccumulator(folder, size_guidance={event_accumulator.SCALARS: 0})
    accumulator.Reload()
    return {
        tag: [[event.step, event.value, event.wall_time] for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def session_groups(root):
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(root)
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, root)
    back_end = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=1000,
        allowed_statuses=api_pb2.Status.values(),
        aggregation_type=api_pb2.AGGREGATION_AVG,
    )
    response = list_session_groups.Handler(context.RequestContext(), back_end, "", request).run()
    return [
        {
            "name": group.name,
            "hparams": {name: json_format.MessageToDict(value) for name, value in group.hparams.items()},
            "metrics": {metric.name.tag: metric.value for metric in group.metric_values},
            "sessions": {
                session.name: {
                    "status": api_pb2.Status.Name(session.status),
                    "start": session.start_time_secs,
                    "end": session.end_time_secs,
                }
                for session in group.sessions
            },
        }
        for group in response.session_groups
    ]


def main():
    root = sys.argv[1]
    runs = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    json.dump({"scalars": {run: scalars(os.path.join(root, run)) for run in runs}, "groups": session_groups(root)}, sys.stdout)


if __name__ == "__main__":
    main()
