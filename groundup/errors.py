"""Every way groundup can refuse: one exception, one code for each cause, one table that explains them.

A user's mistake never ends in a traceback. It ends in a `GroundupError`, which says what happened and how
to fix it; `groundup explain CODE` tells the rest. Exit codes: 0 done, 1 a finding, 2 usage or recipe,
3 environment (disk, device, missing file or extra), 4 interrupted and resumable, 5 diverged.
"""

from dataclasses import dataclass

FINDING, USAGE, ENVIRONMENT, INTERRUPTED, DIVERGED = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class Explanation:
    exit_code: int
    text: str


CODES: dict[str, Explanation] = {
    # recipe and command line
    "usage": Explanation(
        USAGE,
        "The command line could not be understood. `groundup VERB --help` lists what it takes.",
    ),
    "unknown-code": Explanation(USAGE, "`groundup explain` was asked about a code that does not exist."),
    "no-such-recipe": Explanation(
        USAGE,
        "A recipe is the name of a preset (`groundup show` lists them) or the path of a YAML file. "
        "The one that was named is neither.",
    ),
    "recipe-syntax": Explanation(
        USAGE,
        "The recipe file is not YAML that describes a mapping, or an override is not of the form key.sub=value. "
        "Only plain YAML is read: no tags, no anchors to Python objects, at most 100 KB.",
    ),
    "unknown-key": Explanation(
        USAGE,
        "The recipe names a key that does not exist. Keys are never ignored: a silent typo would make an "
        "experiment other than the one you meant. `groundup show RECIPE` lists every key with its value.",
    ),
    "bad-value": Explanation(
        USAGE,
        "A value in the recipe has the wrong type or lies outside its range. The message names the key, where "
        "the value came from (preset, file or command line), and what is allowed.",
    ),
    "recipe-conflict": Explanation(
        USAGE,
        "Two values of the recipe contradict each other: a width that the heads do not divide, a mix that names "
        "a source the recipe does not have, a number of tokens per update that is no multiple of the context.",
    ),
    # data
    "no-such-file": Explanation(
        ENVIRONMENT,
        "A file or folder that the recipe names does not exist or cannot be read.",
    ),
    "no-text": Explanation(
        ENVIRONMENT,
        "The file, folder or pattern was there, but no text was found in it: it is empty, holds no file of a known "
        "format (txt, md, raw, jsonl, parquet, csv, each also as .gz or .zst), or nothing was left after cleaning.",
    ),
    "bad-file": Explanation(
        ENVIRONMENT,
        "A data file could not be read as the format that its name promises: truncated compression, a line that is "
        "not JSON, a table without a text column, bytes that are not UTF-8. The message names file and place. Mend it, "
        "name the encoding or column in the recipe, or leave out what cannot be read: data.on_bad=skip, which counts "
        "it.",
    ),
    "unknown-corpus": Explanation(USAGE, "The recipe asks for a corpus that is not described in data/sources.yaml."),
    "download-failed": Explanation(
        ENVIRONMENT,
        "A corpus could not be downloaded. On a machine without internet, put its files into a folder laid out as "
        "REPOSITORY/FILE and name that folder as `data.mirror` in the recipe or in $GROUNDUP_MIRROR.",
    ),
    "wrong-hash": Explanation(
        ENVIRONMENT,
        "A file does not have the size or SHA-256 that is on record for it: it was cut short, changed, or is another "
        "version. It was not used.",
    ),
    "leak": Explanation(
        FINDING,
        "Training text holds validation, test or benchmark text: half or more of its word sequences stand in one "
        "training document. A score on such text says nothing. The recipe asks for a stop (data.decontaminate=fail); "
        "remove leaves those training documents out, report only names them.",
    ),
    "no-cluster": Explanation(
        ENVIRONMENT,
        "The recipe asks for Ray (data.engine=ray), and no cluster could be reached or started. It needs the extra: "
        "pip install 'groundup[ray]'. Without data.ray_address a cluster of this machine's cores is started.",
    ),
    "worker-lost": Explanation(
        ENVIRONMENT,
        "A process that worked on the text ended before its work did. Most often the system killed it because memory "
        "ran out; on a cluster a machine may have gone. Chunks that were done stay done: the same command goes on.",
    ),
    "text-too-short": Explanation(
        ENVIRONMENT,
        "A split has fewer tokens than one window of the model's context, so there is nothing to train on or to "
        "score. Use more text, a shorter model.context, or larger data.valid_fraction and data.test_fraction.",
    ),
    # tokenizer
    "vocabulary-too-large": Explanation(
        USAGE,
        "The text does not hold enough distinct pairs to learn that many tokens. The message says how many it "
        "supports.",
    ),
    "vocabulary-too-small": Explanation(
        USAGE,
        "The kinds unicode-bpe and unigram need a token for each common character and each byte before there is room "
        "for words. A larger tokenizer.vocab_size makes room; kind bpe needs only the 256 bytes.",
    ),
    "empty-sample": Explanation(
        USAGE,
        "tokenizer.sample_mb is so small that no document of the training text was drawn, so there is nothing to learn "
        "a vocabulary from.",
    ),
    "bad-tokenizer": Explanation(
        ENVIRONMENT,
        "The tokenizer that was named is missing, damaged or was changed, has no <|endoftext|> token, or does not give "
        "text back as it was (a normaliser, or a space put in front, changes it): with it, bits per byte would be "
        "those of another text.",
    ),
    # store
    "artifact-damaged": Explanation(
        ENVIRONMENT,
        "A file of an artifact (corpus, tokenizer, shards) is missing or no longer has the SHA-256 in its manifest. "
        "Nothing was trained on it. Artifacts can be made again: delete the directory that the message names and "
        "repeat the command; look at the disk, too.",
    ),
    "no-such-run": Explanation(USAGE, "There is no run of that name in the lab. `groundup ls` lists the runs."),
    "run-damaged": Explanation(
        ENVIRONMENT,
        "A file that makes a run what it is (recipe.yaml, lineage.json) is missing or unreadable.",
    ),
    "run-busy": Explanation(
        ENVIRONMENT,
        "Another process is working on the same run: the message says which, on which host and since when. Wait for "
        "it, or stop it. A lock ends with its process, and a killed one leaves none behind. On a file system that "
        "several hosts share a holder on another host counts as dead when it has not touched its file in lab/locks for "
        "90 seconds.",
    ),
    "no-checkpoint": Explanation(
        ENVIRONMENT,
        "The run has no checkpoint yet, so there is no model to evaluate or to sample from.",
    ),
    "checkpoint-damaged": Explanation(
        ENVIRONMENT,
        "A checkpoint has a missing file, or one that no longer has the SHA-256 in its MANIFEST.json. Training goes "
        "on from the newest whole one by itself; this error means that the one asked for, or every one, is damaged.",
    ),
    "recipe-changed": Explanation(
        USAGE,
        "A run goes on by the recipe that it was begun with: with another one, half of it would be one experiment and "
        "half another. The message lists each key that decides the weights, with its old and its new value. Leave the "
        "changes out, or begin a new run from the old one's checkpoint with --fork, which its lineage then says. What "
        "decides no weights (feeds, checkpoints, the number of processes, the micro-batch) may be changed at any time.",
    ),
    "disk-full": Explanation(
        ENVIRONMENT,
        "The disk is full. What was finished before is intact, and what was being written was discarded. Make room "
        "and give the same command again: it goes on where it was.",
    ),
    "disk-error": Explanation(
        ENVIRONMENT,
        "The operating system could not read or write a file: the disk fails, or the connection to a network disk is "
        "lost. What was finished before is intact. The same command goes on where it was, once the disk can be used "
        "again, and in another lab from the beginning.",
    ),
    "disk-too-small": Explanation(
        ENVIRONMENT,
        "Before the first step, or with --dry-run before anything is made, the room was reckoned that the recipe takes "
        "on the disk: the checkpoints that are kept (train.keep, and the best), one more while it is written, logs, "
        "and what has to be downloaded and made. The disk has less. Make room, choose another --lab, keep fewer "
        "checkpoints, or use less text.",
    ),
    "not-writable": Explanation(
        ENVIRONMENT,
        "The lab directory cannot be written to. Choose another with --lab or $GROUNDUP_LAB.",
    ),
    # training
    "no-device": Explanation(
        ENVIRONMENT,
        "The recipe asks for a device or a precision that this machine does not have.",
    ),
    "no-rendezvous": Explanation(
        ENVIRONMENT,
        "The processes of a job could not find each other. Each needs RANK, WORLD_SIZE and LOCAL_RANK (or Slurm's own "
        "variables), and MASTER_ADDR and MASTER_PORT, the address at which the first of them listens. torchrun and "
        "`--processes` set all of it; docs/scaling.md has a job script for Slurm.",
    ),
    "process-lost": Explanation(
        ENVIRONMENT,
        "Another process of the job ended, or did not answer for ten minutes, so that no update could be finished. "
        "Most often the system killed it because memory ran out, or it printed its own error. Everything up to the "
        "last checkpoint is on disk: the same command goes on from there, with any number of processes.",
    ),
    "memory-too-small": Explanation(
        ENVIRONMENT,
        "By the reckoning of `groundup show` the model does not fit the memory that is free, not even with one "
        "sequence at a time: weights, gradients, the optimizer's two numbers for each parameter, and activations. A "
        "smaller model or context, train.activation_checkpointing=full, train.loss_chunk or train.optimizer=muon need "
        "less; or another program holds the memory.",
    ),
    "hung": Explanation(
        ENVIRONMENT,
        "Training made no progress for train.hang_minutes: a disk or a network that does not answer, a GPU that hangs, "
        "processes that wait for each other. Where each thread of the process stood is in the run's stacks.txt, the "
        "innermost call first. Checkpoints are whole: the same command goes on from the last one.",
    ),
    "out-of-memory": Explanation(
        ENVIRONMENT,
        "The device ran out of memory. While training, the micro-batch was halved before, down to one sequence: "
        "train.activation_checkpointing=full and train.loss_chunk need less memory and train the same model.",
    ),
    "cannot-continue": Explanation(
        USAGE,
        "train.continue_from names a run that this recipe cannot go on from: its model has another shape, its "
        "tokenizer, optimizer or tokens per update is another, or it has as many steps behind it as the recipe asks "
        "for. Steps, tokens and epochs count from the first run's beginning.",
    ),
    "interrupted": Explanation(
        INTERRUPTED,
        "The work was interrupted, and everything finished so far is on disk. The same command goes on from there.",
    ),
    "diverged": Explanation(
        DIVERGED,
        "The loss or the gradient was infinite or not-a-number again and again, or (train.spikes=skip) the loss rose "
        "and stayed high, also after going back to an earlier checkpoint train.rollbacks times. No such update reached "
        "the weights: the checkpoints are whole and finite. Usual causes: a learning rate that is too high, a warm-up "
        "that is too short, fp16 where bf16 is to be had; broken text, if it is always the same batch. The message "
        "says what was seen; events.jsonl names the batches.",
    ),
    # evaluation
    "missing-extra": Explanation(
        ENVIRONMENT,
        "What was asked for needs packages that are not installed by default. The message names the extra: "
        "pip install 'groundup[EXTRA]'.",
    ),
    "unknown-task": Explanation(
        USAGE,
        "A task is the name of one that groundup knows (blimp, arc_easy, piqa, copa, winograd, winogrande, lambada, "
        "wikitext), of one of its own suites, NAME=PATH for a known task's files elsewhere, or a jsonl file of items.",
    ),
    "bad-task": Explanation(
        ENVIRONMENT,
        "A task's file cannot be used as it is: it holds no item, or an item without a right answer, with fewer than "
        "two options, with an empty one, with options that are all alike, or with one that is longer than the model's "
        'context. An item is one JSON object a line: {"context": "...", "options": ["...", "..."], "gold": 0}.',
    ),
    "not-finite": Explanation(
        DIVERGED,
        "The model's output is infinite or not-a-number somewhere, so no score of it would mean anything, and there is "
        "nothing to draw from. Its weights are damaged, or it was trained elsewhere and diverged.",
    ),
    "cannot-export": Explanation(
        USAGE,
        "A model becomes a checkpoint of another library only where that library has its very architecture: GPT-2 "
        "(family classic), Qwen3 (family modern) or Llama (modern without qk_norm). With other combinations of "
        "positions, norm, activation, qk_norm and bias it would be another model. Nothing that exists is overwritten.",
    ),
    "training-text": Explanation(
        USAGE,
        "Choice items are made from held-out text only. A model has seen its training text, so what it makes of items "
        "from there says nothing of what it learned.",
    ),
    # sampling
    "bad-prompt": Explanation(
        USAGE,
        "The prompt cannot be used: it is longer than the model's context, or not valid Unicode. A prompt that is too "
        "long is not cut: the model would go on from another text than the one that was given.",
    ),
    "sample-too-large": Explanation(
        USAGE,
        "So many texts of that length, side by side, need more memory than is free. The message has the numbers. "
        "Nothing was written.",
    ),
}


class GroundupError(Exception):
    """A refusal with a code from `CODES`, what happened, and how to fix it."""

    def __init__(self, code: str, what: str, fix: str) -> None:
        if code not in CODES:
            raise KeyError(f"error code {code!r} is not in groundup.errors.CODES")
        super().__init__(f"{what} [{code}]")
        self.code, self.what, self.fix = code, what, fix

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return GroundupError, (self.code, self.what, self.fix)  # so that it crosses process boundaries

    @property
    def exit_code(self) -> int:
        return CODES[self.code].exit_code
