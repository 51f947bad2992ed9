"""Asks through one of the Python SDKs: `python python_client.py API PROMPT`.

The conversation goes on in conversation.json of the folder that it runs in.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

URL, KEY, MODEL = (os.environ[name] for name in ("CLIENT_URL", "CLIENT_KEY", "CLIENT_MODEL"))
FILE = Path("conversation.json")
STEPS = 10


def read_file(path: str) -> str:
    """Reads a file."""
    return Path(path).read_text()


def run_command(command: str) -> str:
    """Runs a command."""
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout


def list_files() -> str:
    """Lists files."""
    return "\n".join(sorted(os.listdir(".")))


FUNCTIONS = {each.__name__: each for each in (read_file, run_command, list_files)}


def schema(*names: str) -> dict:
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
    }


SCHEMAS = {"read_file": schema("path"), "run_command": schema("command"), "list_files": schema()}


def call(name: str, arguments: str | dict) -> str:
    given = json.loads(arguments) if isinstance(arguments, str) else arguments
    return FUNCTIONS[name](**given)


def chat_tools() -> list[dict]:
    return [
        {"type": "function", "function": {"name": name, "description": FUNCTIONS[name].__doc__, "parameters": parameters}}
        for name, parameters in SCHEMAS.items()
    ]


def before() -> list:
    return json.loads(FILE.read_text()) if FILE.exists() else []


def finish(conversation: list, text: str, thought: object) -> None:
    """A thought that the client does not see is a fault, too."""
    FILE.write_text(json.dumps(conversation))
    print(text)
    if not thought:
        sys.exit("no thought was seen")


def openai_chat(prompt: str) -> None:
    from openai import OpenAI

    client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    messages = [*before(), {"role": "user", "content": prompt}]
    for _ in range(STEPS):
        with client.chat.completions.stream(model=MODEL, messages=messages, tools=chat_tools()) as stream:
            message = stream.get_final_completion().choices[0].message
        messages.append(message.to_dict())
        if not message.tool_calls:
            return finish(messages, message.content, getattr(message, "reasoning_content", None))
        for each in message.tool_calls:
            content = call(each.function.name, each.function.arguments)
            messages.append({"role": "tool", "tool_call_id": each.id, "content": content})


def openai_responses(prompt: str) -> None:
    """The first turn goes on with what is stored, the second sends the whole conversation."""
    from openai import OpenAI

    client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    tools = [{"type": "function", "name": name, "parameters": parameters} for name, parameters in SCHEMAS.items()]
    history = [*before(), {"role": "user", "content": prompt}]
    sent, previous = history, None
    for _ in range(STEPS):
        with client.responses.stream(
            model=MODEL, input=sent, tools=tools, **({"previous_response_id": previous} if previous else {})
        ) as stream:
            response = stream.get_final_response()
        history = [*history, *(item.to_dict() for item in response.output)]
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            thought = [item for item in response.output if item.type == "reasoning" and item.summary]
            return finish(history, response.output_text, thought)
        results = [
            {"type": "function_call_output", "call_id": each.call_id, "output": call(each.name, each.arguments)}
            for each in calls
        ]
        history = [*history, *results]
        sent, previous = results, response.id


def anthropic_messages(prompt: str) -> None:
    from anthropic import Anthropic

    client = Anthropic(base_url=URL, api_key=KEY, max_retries=0)
    tools = [
        {"name": name, "description": FUNCTIONS[name].__doc__, "input_schema": parameters}
        for name, parameters in SCHEMAS.items()
    ]
    messages = [*before(), {"role": "user", "content": prompt}]
    for _ in range(STEPS):
        with client.messages.stream(model=MODEL, max_tokens=20_000, messages=messages, tools=tools) as stream:
            message = stream.get_final_message()
        messages.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            text = "".join(block.text for block in message.content if block.type == "text")
            return finish(messages, text, [block for block in message.content if block.type == "thinking"])
        results = [
            {"type": "tool_result", "tool_use_id": each.id, "content": call(each.name, each.input)} for each in calls
        ]
        messages.append({"role": "user", "content": results})


def litellm_chat(prompt: str) -> None:
    # Nothing is to be fetched from elsewhere.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    litellm.suppress_debug_info = True
    litellm.num_retries = 0
    messages = [*before(), {"role": "user", "content": prompt}]
    for _ in range(STEPS):
        chunks = list(
            litellm.completion(
                model=f"openai/{MODEL}", api_base=f"{URL}/v1", api_key=KEY, messages=messages, tools=chat_tools(), stream=True
            )
        )
        message = litellm.stream_chunk_builder(chunks, messages=messages).choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            return finish(messages, message.content, message.reasoning_content)
        for each in message.tool_calls:
            content = call(each.function.name, each.function.arguments)
            messages.append({"role": "tool", "tool_call_id": each.id, "content": content})


def langchain(model, prompt: str, shows_thoughts: bool = True) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage, messages_from_dict, messages_to_dict
    from langchain_core.tools import StructuredTool

    tools = [StructuredTool.from_function(each) for each in FUNCTIONS.values()]
    bound = model.bind_tools(tools)
    messages = [*messages_from_dict(before()), HumanMessage(prompt)]
    for _ in range(STEPS):
        message = None
        for chunk in bound.stream(messages):
            message = chunk if message is None else message + chunk
        messages.append(message)
        if not message.tool_calls:
            thoughts = [block for block in message.content_blocks if block["type"] == "reasoning"]
            return finish(messages_to_dict(messages), str(message.text), thoughts or not shows_thoughts)
        for each in message.tool_calls:
            messages.append(ToolMessage(call(each["name"], each["args"]), tool_call_id=each["id"]))


def langchain_openai_chat(prompt: str) -> None:
    from langchain_openai import ChatOpenAI

    # It reads no fields that OpenAI's chat does not have.
    langchain(ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_retries=0), prompt, shows_thoughts=False)


def langchain_openai_responses(prompt: str) -> None:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_retries=0, use_responses_api=True)
    langchain(model, prompt)


def langchain_deepseek_chat(prompt: str) -> None:
    from langchain_deepseek import ChatDeepSeek

    langchain(ChatDeepSeek(model=MODEL, api_base=f"{URL}/v1", api_key=KEY, max_retries=0), prompt)


def pydantic_ai(model, prompt: str) -> None:
    import asyncio

    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    agent = Agent(model, tools=list(FUNCTIONS.values()), retries=0)
    history = ModelMessagesTypeAdapter.validate_python(before())

    # run_stream would take the first text for the answer, also one before a call.
    async def stream(_, events):
        async for _event in events:
            pass

    result = asyncio.run(agent.run(prompt, message_history=history, event_stream_handler=stream))
    text, messages = result.output, result.all_messages()
    thoughts = [part for message in messages for part in message.parts if part.part_kind == "thinking"]
    finish(json.loads(ModelMessagesTypeAdapter.dump_json(messages)), text, thoughts)


def pydantic_ai_chat(prompt: str) -> None:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    pydantic_ai(OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)), prompt)


def pydantic_ai_responses(prompt: str) -> None:
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    pydantic_ai(OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)), prompt)


def pydantic_ai_anthropic(prompt: str) -> None:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0)
    pydantic_ai(AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=client)), prompt)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
