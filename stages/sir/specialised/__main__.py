"""Train a decoder for one category to rebuild a frozen teacher's features of its normal images (SIR)."""

from collections.abc import Sequence

from stages.core.artifacts.choices import write_choice
from stages.core.artifacts.training_curves import write_training_curve
from stages.core.running.params import load_params, load_value
from stages.core.running.stage import parse_paths, stage_entry
from stages.core.sir.feature_files import read_features
from stages.core.sir.model import write_models
from stages.core.sir.params import DecoderParams, TrainingParams
from stages.core.sir.shots import shots_of
from stages.core.sir.training import describe, train


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(
        argv, reads=["features"], writes=["model", "choice", "curve"], values=["method", "category"], about=__doc__
    )
    shots = shots_of(paths.method, scope="specialised")
    decoder = load_params(DecoderParams, section="sir.decoder")
    training = load_params(TrainingParams, section="sir.training")
    features = [read_features(paths.features, category=paths.category)]
    trained = train(features, decoder, training, shots=shots, seed=load_value("seed"))
    write_models(paths.model, trained.models, features[0].teacher)
    write_training_curve(paths.curve, trained.curve)
    write_choice(paths.choice, describe(trained, features))
    return f"{len(trained.models)} decoders trained on {paths.category}"


if __name__ == "__main__":
    main()
