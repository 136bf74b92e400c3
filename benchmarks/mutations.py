"""The mutations of `mutants.py`: each breaks the mathematics, the determinism or the bookkeeping in one place."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """Replace `old`, which occurs once in src/gantry/`file`, by `new`; `effect` is the fault that this makes."""

    file: str
    old: str
    new: str
    effect: str


GAN = "training/gan.py"
ADVERSARIAL = "losses/adversarial.py"
PENALTIES = "losses/penalties.py"

UPDATES = [
    Mutation(
        GAN,
        "judgements = {name: self.judge_augmented(D, images[name], classes[name]) for name in judged}",
        "judgements = {n: judge(D(self.augment(x) if n == 'x_real' else x, classes[n]), x) for n, x in images.items()}",
        "fakes are not augmented",
    ),
    Mutation(
        GAN,
        "judgements = {name: self.judge_augmented(D, images[name], classes[name]) for name in judged}",
        "judgements = {n: judge(D(self.augment(x) if n == 'x_fake' else x, classes[n]), x) for n, x in images.items()}",
        "reals are not augmented",
    ),
    Mutation(
        GAN,
        "judge=partial(self.judge_augmented, self.D),",
        "judge=lambda x, c: judge(self.D(x, c), x),",
        "penalties between the images do not augment",
    ),
    Mutation(
        GAN,
        "images |= {name: images[name].requires_grad_() for name in differentiated}",
        "images |= {name: images[name].clone().requires_grad_() for name in images}",
        "G's update is cut off, or a graph is kept for nothing",
    ),
    Mutation(
        "losses/objective.py",
        "collectives.all_gather(term.penalty(update)).mean()",
        "term.penalty(update).mean()",
        "terms are means of one rank",
    ),
    Mutation(
        "losses/objective.py", "loss + scales[name] * scalars", "loss + 1.0 * scalars", "weights of terms are ignored"
    ),
    Mutation(
        GAN,
        "self.compiled_G(batch.z, batch.c_fake)",
        "self.compiled_G(batch.z, batch.c_fake.flip(0))",
        "fakes are of other classes than D is given",
    ),
    Mutation(
        GAN,
        '        if self.loss.fake_classes == "drawn":',
        '        z = z.flip(0)\n        if self.loss.fake_classes == "drawn":',
        "latents belong to other samples of the batch",
    ),
    Mutation(
        GAN,
        "self.g_loss, g_terms), x[-1], c[-1]",
        "self.g_loss, g_terms), x[0], c[0]",
        "G's update takes the first batch",
    ),
    Mutation(GAN, "x[k], c[k]", "x[0], c[0]", "every update of D takes the first batch"),
    Mutation(
        GAN,
        "self.loss.g(fake_logits, real_logits)",
        "self.loss.g(real_logits, fake_logits)",
        "G's relativistic loss has real and fake exchanged",
    ),
    Mutation(
        GAN,
        "update = self.judge_images(judged, batch, self.generate_fakes(batch), terms)",
        "update = self.judge_images(judged, batch, self.generate_fakes(batch._replace(z=0 * batch.z)), terms)",
        "G trains on one latent",
    ),
    Mutation(GAN, "loss.new_full((), 1 / parts)", "loss.new_full((), 1.0)", "parts of a batch are summed"),
    Mutation(GAN, "value.detach() / parts", "value.detach()", "scalars of the parts are summed"),
    Mutation(GAN, "        optimizer.zero_grad()\n", "", "gradients of earlier updates stay"),
    Mutation(GAN, "        collectives.all_reduce_mean_(gradients)\n", "", "each process steps on its own gradients"),
    Mutation(
        GAN,
        "        collectives.all_reduce_mean_(gradients)\n",
        "        self.optim.clip_gradients_(net, parameters)\n        collectives.all_reduce_mean_(gradients)\n",
        "gradients are clipped before the mean over processes",
    ),
    Mutation(
        GAN,
        "            for name, value in scalars.items():\n                total",
        "            self.optim.clip_gradients_(net, parameters)\n"
        "            for name, value in scalars.items():\n                total",
        "gradients are clipped after each part",
    ),
    Mutation(GAN, "        self.optim.clip_gradients_(net, parameters)\n", "", "gradients are not clipped"),
    Mutation(GAN, "            clip_weights_(self.D, self.loss.weight_clip)\n", "", "weights are not clipped"),
    Mutation("training/optim.py", "parameters()), -bound)", "parameters()), 0.0)", "weights are clipped to [0, c]"),
    Mutation(GAN, "if collectives.world_size() > 1:  # looking", "if False:  # looking", "buffers differ by process"),
    Mutation(GAN, "self.weight_average.lerp_(self.values.ema_decay)", "pass", "G_ema is never updated"),
    Mutation(
        GAN,
        "compute_decay(self.clock, self",
        "compute_decay(Clock(self.turn, self.kimg + self.kimg_per_turn, 0.0), self",
        "the ramp of the EMA is one turn early",
    ),
    Mutation("training/optim.py", 'group["initial_lr"] * factor', 'group["initial_lr"]', "the schedule is ignored"),
    Mutation(GAN, "rng.seed_turn(self.seed, self.turn)", "rng.seed_turn(self.seed, 0)", "all turns draw the same"),
    Mutation(GAN, "for name in self.due.d[k]}", "for name in self.due.d[0]}", "lazy terms follow the first update"),
    Mutation(GAN, "self.run_state.num_skipped += not fine", "pass", "skipped updates are not counted"),
    Mutation(GAN, "fine = not self.skip_nonfinite or", "fine = True or", "updates that are not finite are made"),
    Mutation(GAN, 'self.turn = checkpoint["gan"]["turn"]', "pass", "the turn is not restored"),
    Mutation("training/run_state.py", 'state.get("skipped", 0)', "0", "the count of skipped updates is not restored"),
    Mutation(
        "training/run_state.py",
        'self.scores, self.scored_at = state["scores"], state["scored_at"]',
        'self.scores = state["scores"]',
        "the turn of the latest scores is not restored",
    ),
    Mutation(
        "training/finite.py", "norms in largest]).all()", "norms in largest]).any()", "one finite group is enough"
    ),
    Mutation("training/ema.py", "new, 1.0 - decay)", "new, decay)", "the weights of the EMA are exchanged"),
    Mutation("training/ema.py", "mul_(step, 1.0 - decay)", "mul_(step, decay)", "so are those of a captured turn"),
    Mutation("training/ema.py", "                a.copy_(b)", "                pass", "integer buffers stay"),
    Mutation("training/ema.py", "min(half_life,", "max(half_life,", "the ramp lengthens the half-life"),
    Mutation("training/ema.py", "kimg_per_turn / half_life", "2 * kimg_per_turn / half_life", "half of the half-life"),
    Mutation(
        "schedules.py",
        "(end - start) * compute_fraction(clock, kimg, turns)",
        "(end - start) * compute_fraction(clock, kimg, turns) ** 2",
        "linear is a parabola",
    ),
    Mutation("schedules.py", "0.5 * (1.0 + math.cos(", "0.5 * (1.0 - math.cos(", "cosine rises"),
]

LOSSES = [
    Mutation(
        ADVERSARIAL,
        "F.softplus(-real_logits) + F.softplus(fake_logits)\n\n\ndef minimax_g",
        "F.softplus(-real_logits) + F.softplus(-fake_logits)\n\n\ndef minimax_g",
        "D is rewarded for fakes",
    ),
    Mutation(
        ADVERSARIAL, "return -F.softplus(fake_logits)", "return F.softplus(-fake_logits)", "minimax saturates not"
    ),
    Mutation(ADVERSARIAL, "return F.softplus(-fake_logits)", "return -F.softplus(fake_logits)", "G's loss saturates"),
    Mutation(ADVERSARIAL, "(1 - real_label) * F", "real_label * F", "the smoothed label is not a label"),
    Mutation(ADVERSARIAL, "+ 0.5 * fake_logits.square()", "+ fake_logits.square()", "LSGAN weights fakes twice"),
    Mutation(ADVERSARIAL, "0.5 * (fake_logits - 1)", "0.5 * fake_logits", "LSGAN's G aims at 0"),
    Mutation(ADVERSARIAL, "F.relu(1 + fake_logits)", "F.relu(fake_logits)", "the hinge has no margin"),
    Mutation(
        ADVERSARIAL, "return fake_logits - real_logits", "return real_logits - fake_logits", "WGAN's D is reversed"
    ),
    Mutation(
        ADVERSARIAL,
        "F.softplus(fake_logits - real_logits)\n",
        "F.softplus(real_logits - fake_logits)\n",
        "the relativistic loss is reversed",
    ),
    Mutation(ADVERSARIAL, "fake_logits.mean(0) - real", "real_logits.mean(0) - real", "the mean of the wrong logits"),
    Mutation(PENALTIES, "logits.sum(), x, create_graph=True", "logits.mean(), x, create_graph=True", "N too small"),
    Mutation(PENALTIES, "rng.rand(len(a), *[1]", "rng.rand(1, *[1]", "one interpolation for the whole batch"),
    Mutation(
        PENALTIES,
        "update.x_fake)) - 1).square()",
        "update.x_fake))).square()",
        "the gradient is drawn to 0, not to 1",
    ),
    Mutation(PENALTIES, ".relu().square()", ".square()", "small gradients are penalised too"),
    Mutation(PENALTIES, "x + 0.5 * _global_std", "x + _global_std", "DRAGAN's noise is twice as wide"),
    Mutation(
        PENALTIES,
        "count, total, squares = collectives.all_reduce_sum_(",
        "count, total, squares = (",
        "std of one rank",
    ),
    Mutation(
        PENALTIES,
        "input_gradient(update.real.logits, update.x_real)",
        "input_gradient(update.fake.logits, update.x_fake)",
        "R1 is R2",
    ),
    Mutation(
        PENALTIES,
        "input_gradient(update.fake.logits, update.x_fake)",
        "input_gradient(update.real.logits, update.x_real)",
        "R2 is R1",
    ),
    Mutation(
        "losses/term.py",
        "compute_number(self.weight, clock) * self.every",
        "compute_number(self.weight, clock)",
        "a lazy term is too weak",
    ),
    Mutation(
        "losses/term.py", "return update % self.every == 0", "return update % self.every == 1 % self.every", "late"
    ),
    Mutation(
        "losses/objective.py",
        "range(turn * self.n_critic, (turn + 1) * self.n_critic)",
        "range(turn, turn + self.n_critic)",
        "updates of D are counted by turn + k",
    ),
    Mutation(
        "losses/objective.py", "term.is_due(turn)", "term.is_due(turn * self.n_critic)", "G's terms follow D's count"
    ),
]

AUGMENT = [
    Mutation("augment/diffaugment.py", "(_rand_per_image(x) - 0.5)", "_rand_per_image(x)", "images only get brighter"),
    Mutation(
        "augment/diffaugment.py",
        "mean = x.mean(1, keepdim=True)",
        "mean = x.mean((1, 2, 3), keepdim=True)",
        "saturation",
    ),
    Mutation("augment/diffaugment.py", "x, 0.5 + _rand_per_image(x))", "x, _rand_per_image(x))", "contrast is halved"),
    Mutation("augment/diffaugment.py", "(high - low + 1)", "(high - low)", "the largest shift never occurs"),
    Mutation("augment/diffaugment.py", "side - length % 2)", "side)", "an odd cutout leaves the frame"),
    Mutation("augment/diffaugment.py", "return x * ~(", "return x * (", "cutout keeps the rectangle"),
]

NETS = [
    Mutation(
        "nets/dcgan.py", "nn.BatchNorm2d(o), nn.ReLU())", "nn.BatchNorm2d(o, momentum=0.01), nn.ReLU())", "momentum"
    ),
    Mutation(
        "nets/dcgan.py", "self.head(self.body(x).sum((2, 3)), c)", "self.head(self.body(x).mean((2, 3)), c)", "pooling"
    ),
    Mutation("nets/dcgan.py", "min(width << k, max_width)", "min(width * (k + 1), max_width)", "widths grow linearly"),
    Mutation("nets/layers.py", "LEAKY_SLOPE = 0.2", "LEAKY_SLOPE = 0.1", "the slope of the leaky ReLU"),
    Mutation(
        "nets/heads.py",
        "(embed(c, self.embedding.weight) * h).sum(1)",
        "(embed(c, self.embedding.weight) * h).mean(1)",
        "the projection is a mean",
    ),
    Mutation("nets/layers.py", "torch.addcmul(bias[:", "torch.addcmul(1 + bias[:", "the bias of a class is off"),
    Mutation(
        "nets/layers.py", "nn.init.normal_, std=0.02", "nn.init.normal_, std=0.2", "the initial weights are large"
    ),
    Mutation("nets/layers.py", "kaiming_normal_, a=LEAKY_SLOPE", "kaiming_normal_", "He's gain ignores the slope"),
    Mutation("nets/resnet.py", 'mode="nearest")', 'mode="bilinear")', "G doubles bilinearly"),
    Mutation("nets/resnet.py", "init_xavier_(block.branch, math.sqrt(2))", "pass", "no gain on D's residual branches"),
    Mutation(
        "nets/resnet.py", "block.conv2]), math.sqrt(2))", "block.conv2]), 1.0)", "no gain on G's residual branches"
    ),
    Mutation(
        "nets/resnet.py",
        "upsample_nearest(self.shortcut(x))",
        "upsample_nearest(self.shortcut(F.relu(x)))",
        "activation",
    ),
    Mutation("nets/resnet.py", "+ self.shortcut(x)", "+ self.shortcut(F.relu(x))", "D's shortcut sees the activation"),
    Mutation(
        "nets/resnet.py", "nn.Identity() if first else", "nn.ReLU() if first else", "the first block cuts the image"
    ),
    Mutation("nets/resnet.py", '"sum": Tensor.sum', '"sum": Tensor.mean', "sum pooling is mean pooling"),
    Mutation("nets/resnet.py", "[width] * (halvings + 2)", "[width] * (halvings + 1)", "D has a block less"),
    Mutation("nets/attention.py", "torch.zeros(())", "torch.ones(())", "attention does not begin as the identity"),
    Mutation("nets/attention.py", "softmax(2)", "softmax(1)", "the weights of a query do not sum to 1"),
    Mutation("nets/attention.py", "sides.index(side)", "sides.index(side) - 1", "attention is a block too early"),
    Mutation("nets/heads.py", "torch.cat([h, one", "torch.cat([0 * h, one", "the features are not joined"),
    Mutation("nets/heads.py", "/ math.sqrt(self.dim)", "", "the random product is not scaled"),
    Mutation("nets/heads.py", "class_logits=self.classifier(h)", "class_logits=None", "no class logits"),
    Mutation("nets/biggan.py", "1 + self.gain(v)", "self.gain(v)", "gains are around 0"),
    Mutation("nets/biggan.py", "skip=(self.embedding,)", "skip=()", "the embedding of classes is normalised"),
    Mutation("nets/biggan.py", "first, *parts = ", "*parts, first = ", "the parts of z change places"),
    Mutation("nets/biggan.py", "1 << (max(n, 5) - k)", "1 << (n - k)", "G is half as wide at 64x64"),
    Mutation(
        "nets/resnet.py",
        "nn.ReLU()),\n            nn.Conv2d(i,",
        "nn.ReLU(True)),\n            nn.Conv2d(i,",
        "in place",
    ),
    Mutation("nets/mlp.py", "LeakyReLU(LEAKY_SLOPE)", "LeakyReLU()", "the slope of a dense net"),
    Mutation("nets/spectral.py", "return weight / wv.norm()", "return weight / wv.norm() ** 2", "sigma is squared"),
    Mutation("nets/spectral.py", "            if self.training:\n", "            if True:\n", "evaluation changes u"),
    Mutation("nets/spectral.py", "WARM_UP_ITERATIONS = 15", "WARM_UP_ITERATIONS = 0", "sigma starts as a guess"),
    Mutation(
        "nets/spectral.py", "matrix.detach(), self.u)", "matrix.detach(), torch.ones_like(self.u))", "u is not used"
    ),
]

STYLEGAN2 = "nets/stylegan2.py"
EQUALISED = "nets/equalised.py"

ZOO = [
    Mutation("nets/resample.py", "gain=float(factor**2)", "gain=1.0", "doubled images are dark"),
    Mutation("nets/resample.py", "kernel.flip(2, 3)", "kernel", "an asymmetric filter is turned around"),
    Mutation("nets/resample.py", "after + self.up - k", "after - k", "a row is lost"),
    Mutation("nets/r3gan.py", "gain=0.0)", "gain=1.0)", "branches do not start at 0"),
    Mutation("nets/r3gan.py", "L = sum(blocks)", "L = len(blocks)", "the first weights are too large"),
    Mutation("nets/r3gan.py", "gain = 1 / math.sqrt(features)", "gain = 1.0", "the first logits of classes are large"),
    Mutation(EQUALISED, "s.to(weight.dtype).square() @", "s.to(weight.dtype) @", "demodulation is by s and not s^2"),
    Mutation(EQUALISED, "view(-1, group, *x.shape[1:])", "view(group, -1, *x.shape[1:])", "groups that are strided"),
    Mutation(EQUALISED, "self.bias * self.lr)", "self.bias)", "biases of the mapping learn fast"),
    Mutation(
        EQUALISED, "Resample(padding=(1, 1), gain=4.0)", "Resample(padding=(1, 1))", "the signal fades as it grows"
    ),
    Mutation(STYLEGAN2, "        if self.training:\n", "        if True:\n", "w_avg moves in evaluation"),
    Mutation(STYLEGAN2, "self.w_avg.lerp(w, self.psi)", "w * self.psi", "truncation is towards 0"),
    Mutation(STYLEGAN2, "start = stop  #", "start = stop + 1  #", "the image has a style of its own"),
    Mutation(STYLEGAN2, "u / self.mixing *", "u *", "crossovers are early"),
    Mutation(STYLEGAN2, "math.sqrt(w.shape[1])", "w.shape[1]", "the projection is small"),
    Mutation("nets/stylegan2_blocks.py", "else x + shortcut", "else x", "G has no shortcut"),
    Mutation("nets/stylegan2_blocks.py", "self.upsample(image) + part", "part", "images of coarse sides are lost"),
    Mutation("sampling/truncation.py", "truncate_normal(z[:, : G.z_dim], bound)", "truncate_normal(z, bound)", "noise"),
    Mutation("sampling/generate.py", "count_latent_numbers(G))", "G.z_dim)", "samples have no noise"),
    Mutation("training/gan.py", "count_latent_numbers(self.G)", "self.G.z_dim", "fakes have no noise"),
]

RANDOM = [
    Mutation("rng.py", "[collectives.rank()]", "[0]", "all ranks draw the same numbers"),
    Mutation(
        "rng.py", "(collectives.rank() + 1) * GOLDEN_RATIO_64", "GOLDEN_RATIO_64", "dropout is the same on all ranks"
    ),
    Mutation("rng.py", "derive_seed(seed, turn)", "seed + turn", "seed 0 of turn 1 is seed 1 of turn 0"),
    Mutation(
        "sampling/latents.py", "[first : first + stop - start]", "[: stop - start]", "sample i depends on its batch"
    ),
    Mutation("sampling/latents.py", "return (i + i // count) % count", "return i % count", "each round begins alike"),
    Mutation("sampling/truncation.py", "* (2 * edge - 1)", "* edge", "the truncated distribution is skewed"),
    Mutation(
        "sampling/latents.py",
        "((1 - t) * angle).sin() * start + (t * angle)",
        "(t * angle).sin() * start + ((1 - t) * angle)",
        "reversed",
    ),
    Mutation("sampling/batchnorm.py", "norm.momentum = None", "norm.momentum = 0.1", "standing statistics forget"),
    Mutation(
        "sampling/batchnorm.py",
        "derive_seed(seed, STATISTICS_SEED_KEY)",
        "seed",
        "statistics from the samples' latents",
    ),
    Mutation("sampling/generate.py", "    G.eval()\n", "", "samples are made in training mode"),
    Mutation(
        "data/sampler.py",
        "rng.derive_seed(_DATA_SEED_KEY, seed, epoch, stream)",
        "rng.derive_seed(_DATA_SEED_KEY, seed, stream)",
        "epochs alike",
    ),
    Mutation(
        "data/sampler.py",
        "_make_epoch_generator(seed, epoch, 2)",
        "_make_epoch_generator(seed, epoch, 1)",
        "flips follow the order",
    ),
    Mutation("data/sampler.py", "self.rank * local_batch_size", "0", "all ranks train on the same images"),
    Mutation("data/sampler.py", "start, stop = turn * size", "start, stop = turn * self.batch_size", "turns overlap"),
    Mutation("data/images.py", "x.flip(-1)", "x.flip(-2)", "images are mirrored upside down"),
    Mutation("pixels.py", ".mul(127.5).round()", ".mul(127.5)", "levels are truncated"),
    Mutation("pixels.py", "div_(127.5).sub_(1)", "div_(128).sub_(1)", "white is not 1"),
    Mutation("distributed/collectives.py", "        flat /= world_size()\n", "", "a mean over processes is a sum"),
    Mutation("distributed/collectives.py", "        dist.all_reduce(gradient)\n", "", "gathered logits lose gradients"),
    Mutation("distributed/sync_batchnorm.py", "(count / (count - 1))", "1", "the stored variance is biased"),
    Mutation(
        "distributed/sync_batchnorm.py", " + (means - mean).square().mean(0)", "", "variance between ranks is left out"
    ),
    Mutation(
        "distributed/sync_batchnorm.py",
        "torch.stack([d_bias, d_weight])) / count",
        "torch.stack([d_bias, d_weight])) / 1",
        "d mean",
    ),
]

METRICS = [
    Mutation("metrics/frechet.py", "return means + L.trace", "return L.trace", "FID ignores the means"),
    Mutation("metrics/frechet.py", "M.trace - 2 * root", "M.trace - root", "FID counts the root once"),
    Mutation(
        "metrics/frechet.py", "1 / math.sqrt(statistics.n - 1)", "1 / math.sqrt(statistics.n)", "a biased covariance"
    ),
    Mutation(
        "metrics/frechet.py",
        "rank = min(int(rank), statistics.n - 1)",
        "rank = min(int(rank), statistics.n - 2)",
        "rank",
    ),
    Mutation(
        "metrics/frechet_infinity.py", "(N * D - M * E) / (N - M)", "(N * E - M * D) / (N - M)", "the line is reversed"
    ),
    Mutation("metrics/frechet_infinity.py", "ddof=1", "ddof=0", "the jackknife's error is too small"),
    Mutation("metrics/frechet_per_class.py", "images.labels == k", "images.labels == k + 1", "classes are shifted"),
    Mutation(
        "metrics/inception_score.py", "scores.std(correction=0)", "scores.std(correction=1)", "deviation with n - 1"
    ),
    Mutation(
        "metrics/inception_score.py",
        "- torch.xlogy(q, q).sum(1)",
        "+ torch.xlogy(q, q).sum(1)",
        "the sign of an entropy",
    ),
    Mutation(
        "metrics/kid.py", "_sum_kernel_within(x) / (m * (m - 1))", "_sum_kernel_within(x) / (m * m)", "KID is biased"
    ),
    Mutation("metrics/kid.py", "within - 2 * _sum", "within - _sum", "KID counts the cross term once"),
    Mutation("metrics/kid.py", "np.vdot(g * g, g)) / F**3", "np.vdot(g, g)) / F**2", "the kernel is quadratic"),
    Mutation(
        "metrics/kid.py",
        "chosen[1::2], chosen[::2]",
        "chosen[::2], chosen[1::2]",
        "other subsets than torch-fidelity's",
    ),
    Mutation(
        "metrics/precision_recall.py",
        "neighbours[:, k - 1], neighbours",
        "neighbours[:, k - 2], neighbours",
        "k off by one",
    ),
    Mutation("metrics/precision_recall.py", "neighbours[:, density_k - 1]", "neighbours[:, k - 1]", "density uses k"),
    Mutation(
        "metrics/precision_recall.py", "return squared <= limits", "return squared < limits", "balls have no surface"
    ),
    Mutation(
        "metrics/precision_recall.py", "balls / (density_k * len(fake))", "balls / (density_k * len(real))", "density"
    ),
    Mutation(
        "metrics/precision_recall.py", "covered[pairs.j[in_dense]]", "covered[pairs.j[in_real]]", "coverage uses k"
    ),
    Mutation(
        "metrics/nearest_neighbours.py", "squared.fill_diagonal_(torch.inf)", "pass", "a row is its own neighbour"
    ),
    Mutation("metrics/nearest_neighbours.py", "index + y.start", "index", "indices of blocks"),
    Mutation("metrics/memorisation.py", "(less + at_most)", "(2 * less)", "equal distances count as farther"),
    Mutation("metrics/memorisation.py", "rank <= quantile", "rank < quantile", "the quantile leaves out its edge"),
    Mutation("metrics/mode_coverage.py", "HIGH_QUALITY_SIGMAS = 3.0", "HIGH_QUALITY_SIGMAS = 2.0", "high quality"),
    Mutation("metrics/mode_coverage.py", "clamp(max=1 / len(counts))", "clamp(max=1)", "overlap is above its bound"),
    Mutation("metrics/mode_coverage.py", "+ math.log(len(q))", "", "KL without its constant"),
    Mutation(
        "metrics/statistics.py",
        "rows[-1] = shift * (n * len(features) / total).sqrt()",
        "rows[-1] = 0",
        "scatter of means",
    ),
    Mutation(
        "metrics/statistics.py", "lower += part_lower + n * torch.outer(shift, shift)", "lower += part_lower", "merge"
    ),
    Mutation(
        "metrics/statistics.py", "mean += shift * (len(features) / total)", "mean += shift / 2", "the running mean"
    ),
    Mutation("features/preprocessing.py", 'mode="bilinear", antialias=True', 'mode="bilinear"', "aliasing"),
    Mutation("features/preprocessing.py", "(0.299, 0.587, 0.114)", "(1 / 3, 1 / 3, 1 / 3)", "grey is a plain mean"),
]

BOOKKEEPING = [
    Mutation(
        "evaluation/protocol.py", '("torch", "torch-fidelity", "numpy", "scipy")', '("torch",)', "versions are left out"
    ),
    Mutation("evaluation/feature_pass.py", ".cpu()[order]", ".cpu()", "features in the order of ranks"),
    Mutation(
        "evaluation/feature_pass.py", "rank * self.batch_size, count, size", "0, count, size", "ranks score the same"
    ),
    Mutation("callbacks/evaluate.py", '{"min": 1, "max": -1}', '{"min": 1, "max": 1}', "a larger score is worse"),
    Mutation(
        "callbacks/evaluate.py",
        "if gan.turn and self.is_improvement",
        "if self.is_improvement",
        "the untrained net is best",
    ),
    Mutation("callbacks/evaluate.py", "self.best_entry = best\n", "pass", "the best score is not restored"),
    Mutation(
        "callbacks/checkpoints.py", "self.best_turn = gan.turn\n", "self.best_turn = -1\n", "best.ckpt is written twice"
    ),
    Mutation(
        "callbacks/checkpoints.py",
        "gan.run_state.improved_at == gan.turn != self.best_turn",
        "gan.is_due(self.every)",
        "best is last",
    ),
    Mutation("compare/groups.py", "t.ppf(0.975, n - 1)", "t.ppf(0.95, n - 1)", "an interval of 90 %"),
    Mutation("compare/groups.py", "t.ppf(0.975, n - 1)", "t.ppf(0.975, n)", "degrees of freedom"),
]

MUTATIONS = [*UPDATES, *LOSSES, *AUGMENT, *NETS, *ZOO, *RANDOM, *METRICS, *BOOKKEEPING]
