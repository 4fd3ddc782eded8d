"""The parameters of the simulated shop: every rate, share and coefficient of its law.

A `World` is the law; a seed is one history drawn from it. Change a field to plant another
truth, for instance `World(account_share=0.2)`.
"""

from dataclasses import asdict, dataclass, fields

from cdp_lib.checks import above, at_least, share

CAUSES = ("account", "extra_costs", "trust", "long_checkout", "low_intent")
OUTCOMES = ("bought", "bought_later", "left", "emptied")
HOUR_PREFERENCES = ("morning", "midday", "evening", "night")


@dataclass(frozen=True)
class Kind:
    """A latent kind of person.

    `existing_share`, `new_share`: its share among those with an account at the start and among
    newcomers. `visit_rate`: mean visits per day while alive, at season 1. `life_days`: inverse of
    the mean death rate. `cart_prob`: mean probability that a visit opens a cart. `left_bias`:
    added to the log-odds that a cart is left. `affinity`: mean discount affinity (0–1).
    """

    name: str
    existing_share: float
    new_share: float
    visit_rate: float
    life_days: float
    cart_prob: float
    left_bias: float
    affinity: float


KINDS = (
    Kind("loyal", 0.30, 0.00, 0.105, 900.0, 0.30, -0.40, 0.25),
    Kind("bargain", 0.25, 0.15, 0.070, 500.0, 0.26, 0.00, 0.75),
    Kind("browser", 0.25, 0.30, 0.090, 500.0, 0.10, 0.40, 0.40),
    Kind("lapsing", 0.20, 0.00, 0.055, 150.0, 0.20, 0.10, 0.45),
    Kind("new", 0.00, 0.55, 0.070, 240.0, 0.24, 0.20, 0.45),
)


@dataclass(frozen=True)
class Campaign:
    """A campaign of the law: its channel, its discount rate and how people respond to it.

    `persuadable_share` and `sleeping_share` are means over people; the former buy
    (1 + `gain`·[0.5, 1.5)) times as often for the week, the latter (1 − `loss`·[0.5, 1.5)) times.
    The rest do not react: `sure` where they buy often anyway, else `lost`.
    """

    channel: str
    discount: float
    persuadable_share: float
    gain: float
    sleeping_share: float
    loss: float


CAMPAIGNS = (
    Campaign("email", 0.10, 0.40, 1.6, 0.05, 0.4),  # pays
    Campaign("push", 0.0, 0.0, 0.0, 0.0, 0.0),  # useless
    Campaign("sms", 0.0, 0.05, 0.8, 0.60, 0.6),  # harmful
    Campaign("in_app", 0.0, 0.35, 1.4, 0.05, 0.4),  # pays without a discount
    Campaign("email", 0.25, 0.12, 1.0, 0.02, 0.4),  # gives away more than it brings
    Campaign("whatsapp", 0.0, 0.30, 1.4, 0.10, 0.5),
)
AUDIENCES = (
    ("abandoned_carts", Campaign("email", 0.0, 0.45, 2.0, 0.03, 0.4)),  # pays
    ("abandoned_browses", Campaign("email", 0.20, 0.0, 0.0, 0.90, 0.95)),  # harmful
    ("likely_churners", Campaign("email", 0.0, 0.0, 0.0, 0.0, 0.0)),  # useless
)
OTHER_AUDIENCE = Campaign("email", 0.0, 0.25, 1.2, 0.10, 0.5)
RESPONSES = ("persuadable", "sure", "lost", "sleeping_dog")


@dataclass(frozen=True)
class World:
    """Every parameter of the law; shares and probabilities lie in [0, 1]."""

    # people
    kinds: tuple[Kind, ...] = KINDS
    existing_share: float = 0.6  # of the customers asked for: those with an account at the start
    newcomers_per_customer: float = 1.4  # people who arrive in the span, most never identify
    newcomer_life_factor: float = 0.25  # a newcomer's life_days is this much of its kind's
    rate_shape: float = 1.3  # Gamma shape of the visit rate within a kind
    death_shape: float = 3.0  # Gamma shape of the death rate within a kind
    logged_in_share: float = 0.55  # mean share of an account owner's visits that stay logged in
    shared_device_share: float = 0.02  # people whose first browser is somebody else's
    cookie_days: float = 120.0  # a web browser's visitor_id lives this long

    # carts: log-odds of leaving = bias + kind + person + coefficients · x
    left_bias: float = 0.12
    person_spread: float = 0.6  # standard deviation of the person's own log-odds
    on_shipping_share: float = 2.5  # per unit of shipping / basket value, 0 when shipping is free
    on_mobile: float = 0.35
    on_unknown_brand: float = 0.5
    on_single_cheap: float = 0.5
    emptied_share: float = 0.05  # of all carts, before anything else is drawn
    free_shipping_threshold: float = 50.0  # currency
    shipping_fee: float = 4.90  # currency, shown and paid below the threshold

    # why a cart is left
    account_share: float = 0.40  # of the left carts, exactly and independent of everything
    extra_costs_share: float = 0.24  # the others: relative weights of what remains
    trust_share: float = 0.08
    long_checkout_share: float = 0.10
    low_intent_share: float = 0.18

    # what comes back
    buy_later_share: float = 0.13  # of left carts, if the person still lives then
    touch_share: float = 0.15  # of left carts not bought later: looked at once more
    delay_shift_hours: float = 0.75
    delay_weights: tuple[float, float] = (0.45, 0.55)  # two exponentials after the shift
    delay_mean_days: tuple[float, float] = (0.25, 3.0)

    # money
    coupon_rate: float = 0.5  # × affinity = probability that an order uses a coupon
    coupon_discount: float = 0.10
    return_share: float = 0.04  # of orders: one line comes back

    # messages and campaigns
    campaigns: tuple[Campaign, ...] = CAMPAIGNS
    holdout_share: float = 0.3
    audiences: tuple[tuple[str, Campaign], ...] = AUDIENCES  # after the span, by name
    other_audience: Campaign = OTHER_AUDIENCE  # of any other name
    effect_days: float = 7.0  # a campaign works from its sending on
    often_per_day: float = 0.006  # purchases per day above which one who does not react is `sure`
    opt_out_bias: float = -5.9  # log-odds of opting out at a message
    opt_out_per_message: float = 0.25  # added per message of the last 28 days

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_share", "_discount")) and not field.name.startswith("on_"):
                share(f"World.{field.name}", value)
        for name in ("rate_shape", "death_shape", "cookie_days", "effect_days"):
            above(f"World.{name}", getattr(self, name), 0)
        for name in ("newcomers_per_customer", "shipping_fee", "delay_shift_hours"):
            at_least(f"World.{name}", getattr(self, name), 0)

    def other_cause_shares(self) -> tuple[float, ...]:
        """Shares of the four causes other than `account`, in the order of CAUSES; they sum to 1."""
        weights = (
            self.extra_costs_share,
            self.trust_share,
            self.long_checkout_share,
            self.low_intent_share,
        )
        return tuple(weight / sum(weights) for weight in weights)

    def to_dict(self) -> dict:
        """Plain values, fit for JSON."""
        return asdict(self)

    def audience(self, name: str) -> Campaign:
        """The law by which people respond to an audience of that name."""
        return dict(self.audiences).get(name, self.other_audience)

    @classmethod
    def from_dict(cls, values: dict) -> "World":
        """The inverse of `to_dict`."""
        kept = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        kept["kinds"] = tuple(Kind(**kind) for kind in values["kinds"])
        kept["campaigns"] = tuple(Campaign(**campaign) for campaign in values["campaigns"])
        if "audiences" in values:
            named = values["audiences"]
            kept["audiences"] = tuple((name, Campaign(**law)) for name, law in named)
            kept["other_audience"] = Campaign(**values["other_audience"])
        return cls(**kept)
