"""What every peer of the profile's benchmark answers: the features of a log of visits."""

from visit_log import COUNTS, WINDOWS

SINCE = ["view_item", "search", "add_to_wishlist", "add_to_cart", "begin_checkout",
         "contact_support", "purchase"]  # fmt: skip
DEPTH = {"view_item": 1, "add_to_cart": 2, "begin_checkout": 3, "add_payment_info": 5,
         "purchase": 6}  # fmt: skip
FEATURES = [
    *(f"{event}_{w}d" for event, windows in COUNTS.items() for w in windows),
    *(f"days_since_{event}" for event in SINCE),
    *(f"{name}_{w}d" for name in ("visits", "depth", "products_viewed") for w in WINDOWS),
    *(f"{name}_{w}d{tail}" for name, tail in (("active_days", ""), ("viewed_price", "_mean"))
      for w in WINDOWS[1:]),
    *("days_since_visit", "days_since_first_visit", "visit_gap_days", "actions_per_visit",
      "visit_hours", "weekend_share", "evening_share", "mobile_share", "device_types",
      "touchpoints", "most_views_of_a_product", "last_device_type", "last_touchpoint",
      "main_touchpoint", "visit_gaps_waited", "depth_last_visit", "days_since_app_remove",
      "products_in_cart", "days_since_new_product", "carts_left_share", "days_since_left_cart",
      "open_carts", "left_cart_depth", "left_cart_value", "open_cart_value"),
    *(f"{name}_trend" for name in ("visits", "view_item", "add_to_cart")),
    *(f"{name}_{w}d" for name in ("carts", "carts_left") for w in WINDOWS[1:]),
]  # fmt: skip
CART = {"add_to_cart": 1, "remove_from_cart": 1, "begin_checkout": 3, "add_payment_info": 5,
        "purchase": 6}  # fmt: skip
