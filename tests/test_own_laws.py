"""A law of the user's own reaches processes that have not run the script that defines it."""

import pickle
from dataclasses import replace

import pytest

import forescale as fs
from forescale.laws import LAWS, get_law, law, own_laws
from forescale.laws.own_laws import SentLaw, send
from forescale.laws.terms import Amplitude


@pytest.fixture(autouse=True)
def laws_as_before(monkeypatch):
    before = dict(LAWS)
    yield
    LAWS.clear()
    LAWS.update(before)


def defined(factor):
    """A law by one name, and a factor that tells it from others of that name."""

    @law(terms={"A": Amplitude("n_params", "alpha")}, floor="E")
    def homemade(n_params, *, E, A, alpha):
        return E + factor * A / n_params**alpha

    return homemade


def elsewhere(sent):
    """As it comes out of the pipe in another process."""
    return replace(pickle.loads(pickle.dumps(sent)), sender="another")


VALUES = {"E": 1.0, "A": 2.0, "alpha": 0.5}


def test_laws_of_the_package_are_not_sent():
    assert send(fs.load_model("chinchilla").law) == SentLaw()
    assert send(fs.load_model("shifted_power_d").renamed({"n_tokens": "n_examples"}).law).pickled == b""


def test_a_law_is_whole_when_it_arrives():
    sent = elsewhere(send(defined(1.0)))
    del LAWS["homemade"]
    sent.register()
    arrived = get_law("homemade")
    assert arrived({"n_params": 4.0}, VALUES) == 2.0
    assert (arrived.inputs, arrived.parameters, arrived.floor) == (("n_params",), ("E", "A", "alpha"), "E")
    assert dict(arrived.terms) == {"A": Amplitude("n_params", "alpha")}
    sent.register()
    assert get_law("homemade") is arrived  # what was compiled for it is found again


def test_two_laws_of_one_name_do_not_mix():
    first, second = elsewhere(send(defined(1.0))), elsewhere(send(defined(10.0)))
    for sent, loss in ((first, 2.0), (second, 11.0), (first, 2.0)):
        sent.register()
        assert get_law("homemade")({"n_params": 4.0}, VALUES) == loss


def test_a_law_is_known_by_its_source():
    other = send(law(terms={}, floor=None)(lambda n_params, *, E: E * n_params))
    assert "E * n_params" in other.code
    assert send(defined(1.0)).code != other.code


def test_a_renamed_law_is_sent_under_its_own_names():
    renamed = defined(1.0).renamed({"n_params": "width"})
    elsewhere(send(renamed)).register()
    assert get_law("homemade").inputs == ("n_params",)


def test_at_home_nothing_is_replaced():
    mine = defined(1.0)
    send(mine).register()
    assert get_law("homemade") is mine
    assert own_laws.send(mine).sender == send(mine).sender
