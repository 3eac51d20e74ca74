"""One training run: the wiring of model, data and callbacks into Lightning's Trainer."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl

from batches.augment import RoughMaps
from batches.cache.items import CachedFittings, CachedItems
from batches.loader import TrainingData, bucket_text, sizes_of
from batches.mixed_prompts import FixedItems, MixedPrompts, lines_of, mixed_prompts
from batches.prompt_policies import read_policy
from batches.prompts import PromptPolicy
from cldm.model import is_tryon
from jobs.ranks import explain_lost_process, say
from learning.build import (
    build_model,
    check_keys,
    check_options_of_recipe,
    count_processes,
    describe_trainable,
    make_trainer,
    outline_model,
)
from learning.callbacks.averaging import Averaging
from learning.callbacks.checkpoints import Checkpoints
from learning.callbacks.control_metric import ControlMetric
from learning.callbacks.convergence import Convergence
from learning.callbacks.garment_metric import watch_garments
from learning.callbacks.gradients import Gradients
from learning.callbacks.measurement import Report
from learning.callbacks.own_samples import watch_own_samples
from learning.callbacks.stopping import Stopping, explain_stops
from learning.callbacks.training_log import Metrics, StepProgress
from learning.callbacks.validation import ValidationLoss
from learning.dry_run import dry_run, explain_shortage
from learning.options import TrainOptions, read_accumulation_after, set_accumulation
from learning.resuming import check_folder, hold_run, read_steps_done, write_options
from learning.run_facts import collect_facts
from learning.run_metadata import collect_metadata, describe_fitting
from learning.trackers import TrackedImages, check_tracker, make_tracker


def choose_items(options: TrainOptions, dataset, held_out=None, prompts=None):
    """The dataset, or its items from its folder's cache; prints what there is to train on.

    With `prompts` (MixedPrompts) the cache's are of no use.
    """
    folder = getattr(dataset, "folder", None)
    cached = options.cached and folder and Path(folder, "cache", "index.json").exists()
    if cached:
        if is_tryon(options.model):
            dataset = CachedFittings(dataset, options.base, options.model, mirrored=options.flip)
        else:
            wanted = dict(mirrored=options.flip, prompts=not prompts)
            dataset = CachedItems(dataset, options.base, options.model, **wanted)
    held = f", {len(held_out):,} held out" if held_out else ""
    read, encoded = f"taken from {folder}/cache", "encoded in every step"
    way = f"latents and prompts {read if cached else encoded}"
    if cached and prompts:
        way = f"latents {read}, prompts {encoded}"
    say(f"{folder or 'the data'}: {len(dataset):,} items to train on{held}; {way}")
    if prompts:
        say(f"prompts: {prompts.summary()}")
    say(f"buckets, height x width: {bucket_text(Counter(sizes_of(dataset)))}")
    return dataset


def train(options: TrainOptions, dataset, held_out=None, encoder=None, judge=None):
    """Train, or go on training, and leave checkpoints, image log, tables and a report in the run folder.

    Args:
        dataset: items dict(jpg, txt, hint); `sizes` and `folder`, if it has them, give buckets and cache.
        held_out: the same, not trained on, for validation loss, for garment fidelity where it is of drawn
            people (a TryonDataset), and for control mIoU with `encoder`, the HintEncoder of the data, and
            `judge`, uint8 pictures (n, H, W, 3) -> region ids (n, H, W).
    """
    run, devices = Path(options.run), count_processes(options)
    options, policy = _with_policy(set_accumulation(options, devices))
    check_folder(run)
    # before the run is looked at: another one may be about to write its last.ckpt
    with nullcontext() if options.dry_run else hold_run(run):
        _train_alone(options, policy, devices, dataset, held_out, encoder, judge)


def _train_alone(options: TrainOptions, policy, devices, dataset, held_out, encoder, judge):
    run = Path(options.run)
    check_tracker(options)
    own_samples = watch_own_samples(options, dataset, encoder)
    facts = collect_facts(options, devices, dataset, held_out, encoder)
    last = run / "last.ckpt" if (run / "last.ckpt").exists() else None
    done = read_steps_done(last, options, facts) if last else 0
    if done >= options.max_steps:
        say(f"{run} has its {done} steps already: raise max_steps to go on, or give another run=FOLDER")
        return
    say(f"resuming {run} at step {done}" if last else f"starting {run}")
    lines = getattr(dataset, "data", ())
    metadata = collect_metadata(options, encoder, lines, policy)
    prompts = mixed_prompts(policy, dataset, options.model)
    dataset = choose_items(options, dataset, held_out, prompts)
    held_out = _with_fixed_prompts(held_out, prompts)
    pl.seed_everything(options.seed, verbose=False)
    build = outline_model if options.dry_run else build_model
    model = build(options, without=getattr(dataset, "replaces", ()))
    check_options_of_recipe(options, model)
    metadata |= describe_fitting(model, lines)
    check_keys(model, dataset[0], options.model)
    if encoder:
        model.empty_hint = encoder.to_hint(np.zeros((), np.uint8)).tolist()
    loading = options.batch_size, options.seed, options.accumulate, options.workers, options.flip
    given = dict(encoder=encoder, rough=_rough_maps(options, encoder), prompts=prompts)
    # epochs of whole steps, those of after_convergence as well
    together = max(1, read_accumulation_after(options) // options.accumulate)
    given |= dict(multiple=model.size_multiple, steps_together=together)
    data = TrainingData(dataset, *loading, **given)
    say(describe_trainable(model))
    if options.dry_run:
        dry_run(model, data, dataset, options, devices)
        return
    callbacks = _callbacks(options, held_out, encoder, judge, own_samples, metadata, facts)
    trainer = make_trainer(options, callbacks)  # before anything is written, as it may refuse
    with explain_stops(run), explain_shortage(options), explain_lost_process():
        write_options(options)
        trainer.logger = make_tracker(options)
        trainer.fit(model, data, ckpt_path=last, weights_only=True)


def _with_policy(options: TrainOptions) -> tuple[TrainOptions, PromptPolicy | None]:
    """(the options with the whole policy as `prompts`, so that it is written down with them; the policy)."""
    if not options.prompts:
        return options, None
    policy = read_policy(options.prompts)
    stated, given = policy.prompt_dropout, options.prompt_dropout
    if stated is not None:
        other = f", which was given, and not the {stated:g} that it states" if stated != given else ""
        say(f"prompts={options.prompts}: prompt_dropout={given:g}{other}")
    return replace(options, prompts=policy.text()), policy


def _with_fixed_prompts(held_out, prompts: MixedPrompts | None):
    """Held-out items whose prompts are like those of training, but the same every time."""
    if not held_out or not prompts:
        return held_out
    return FixedItems(held_out, MixedPrompts(prompts.policy, lines_of(held_out), prompts.tokenizer))


def _rough_maps(options: TrainOptions, encoder) -> RoughMaps | None:
    if not (options.mask_dilation or options.mask_simplification):
        return None
    if encoder is None:
        raise ValueError(
            f"mask_dilation and mask_simplification need maps of regions: {options.data} has no regions.yaml"
        )
    return RoughMaps(encoder, options.mask_dilation, options.mask_simplification)


def _callbacks(
    options: TrainOptions, held_out, encoder, judge, own_samples, metadata, facts
) -> list[pl.Callback]:
    """What happens beside training. The order matters: what changes weights, who measures, who writes."""
    if options.after_convergence and not held_out:
        raise ValueError(
            f"after_convergence={options.after_convergence} needs held-out pictures to see it by: "
            f"{options.data} has no items of split val"
        )
    stopping = Stopping()
    callbacks = [stopping, Gradients(options)]
    callbacks += [Averaging(options.ema_decay)] if options.ema_decay else []
    callbacks.append(Metrics(options))
    if options.image_log_every:
        sampling = dict(ddim_steps=options.sampling_steps, unconditional_guidance_scale=options.guidance)
        callbacks.append(TrackedImages(options.image_log_every, log_images_kwargs=sampling))
    callbacks += own_samples
    if judge is not None:
        callbacks.append(ControlMetric(held_out, encoder, judge, options))
    if held_out:
        if is_tryon(options.model):
            callbacks += watch_garments(held_out, options)
        callbacks.append(ValidationLoss(held_out, options))
        callbacks += [] if is_tryon(options.model) else [Convergence(options)]
    callbacks += [Checkpoints(options.run, options, metadata, stopping, facts), Report(options)]
    # last, so that its clock starts when floor and ceiling have been measured
    return [*callbacks, StepProgress(options)]
