"""The clients: `flwr run` and `fltk run` both use this file as it is."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flower_app.task import Net, load_data
from flower_app.task import test as test_net
from flower_app.task import train as train_net

app = ClientApp()


def batches(message: Message, context: Context):
    """The batches of this client, whose order is of the seed, the client and the round."""
    client, config = context.node_config["partition-id"], context.run_config
    seed = config["seed"] + 1000 * message.content["config"]["server-round"] + client
    return load_data(client, context.node_config["num-partitions"], config["batch-size"], seed)


@app.train()
def train(message: Message, context: Context) -> Message:
    net, config = Net(), context.run_config
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    own, _ = batches(message, context)
    loss = train_net(net, own, config["local-epochs"], config["learning-rate"], config["momentum"])
    figures = MetricRecord({"train_loss": loss, "num-examples": len(own.dataset)})
    return Message(RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": figures}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    net = Net()
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    _, own = batches(message, context)
    loss, accuracy = test_net(net, own)
    figures = MetricRecord({"eval_loss": loss, "eval_acc": accuracy, "num-examples": len(own.dataset)})
    return Message(RecordDict({"metrics": figures}), reply_to=message)
