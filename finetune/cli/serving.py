"""The command that serves a model."""

import json

import click


@click.command("serve", epilog="Example: finetune serve runs/orders/student --port 8808")
@click.argument("model", help="A finished run's folder, `embedded`, a local model's folder or a hub id.")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; 0 takes a free one.")
@click.option("--api-key-env", metavar="NAME", help="Variable that holds the key to ask for; a random one without it.")
@click.option("--name", help="What requests call the model; by default its folder's name or its id.")
@click.option(
    "--dtype", type=click.Choice(["bfloat16", "float32"]), show_default="the run's, or the fastest", help="Of weights."
)
@click.option("--json", "as_json", is_flag=True, help="Print address, key and model as JSON.")
def serve_command(
    model: str, host: str, port: int, api_key_env: str | None, name: str | None, dtype: str | None, as_json: bool
) -> None:
    """Serve MODEL behind OpenAI's API until Ctrl-C; prints its address and the key that it asks for.

    Chat and text completions, streamed or not, with log probabilities; it scores prompts, too.
    """
    import torch  # noqa: F401 - before transformers, which would say in its own words that it is not there

    from finetune.serving.server import Running, serve

    def ready(server: Running) -> None:
        key = server.key if api_key_env is None else None  # whoever set it knows it
        if as_json:
            click.echo(json.dumps({"base_url": server.base_url, "api_key": key, "model": server.model}))
        else:
            click.echo(f"{server.base_url}  model: {server.model}  key: {key or f'that of {api_key_env}'}")

    serve(model, host=host, port=port, key_env=api_key_env, name=name, dtype=dtype, ready=ready)
