"""Colors, fonts and corners of the page, light and dark. Fonts are the system's: none is fetched."""

from __future__ import annotations

from gradio.themes import Base, Font
from gradio.themes.utils import colors, sizes

# Shades from light to dark: warm grey for text and surfaces, and orange for what is active.
PAPER = colors.Color(
    "#faf9f7",
    "#f4f2ee",
    "#e8e5df",
    "#d6d2ca",
    "#a7a299",
    "#6f6b64",
    "#55524d",
    "#3a3c42",
    "#262a31",
    "#1b1f25",
    "#14171c",
    name="paper",
)
CLAY = colors.Color(
    "#fdf3ed",
    "#fae3d5",
    "#f4c6ab",
    "#eca47b",
    "#e07a3f",
    "#b4501c",
    "#a44717",
    "#873a13",
    "#6b2f10",
    "#50240d",
    "#35180a",
    name="clay",
)


def theme() -> Base:
    """The theme of the page."""
    text_fonts = [Font(name) for name in ("ui-sans-serif", "system-ui", "sans-serif")]
    code_fonts = [Font(name) for name in ("ui-monospace", "Consolas", "monospace")]
    made = Base(
        primary_hue=CLAY,
        secondary_hue=CLAY,
        neutral_hue=PAPER,
        radius_size=sizes.radius_md,
        spacing_size=sizes.spacing_sm,
        text_size=sizes.text_md,
        font=text_fonts,
        font_mono=code_fonts,
    )
    return made.set(
        body_background_fill="#faf9f7",
        body_background_fill_dark="#14171c",
        body_text_color="#23272e",
        body_text_color_dark="#e8e6e3",
        body_text_color_subdued="#5f5b55",
        body_text_color_subdued_dark="#aaa69f",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1d2128",
        block_padding="2px 0px",
        layout_gap="10px",
        form_gap_width="0px",
        section_header_text_weight="600",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_text_color="*body_text_color_subdued",
        block_label_text_color_dark="*body_text_color_subdued",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_text_weight="550",
        block_info_text_color="*body_text_color_subdued",
        block_info_text_color_dark="*body_text_color_subdued",
        input_background_fill="#faf9f7",
        input_background_fill_dark="#14171c",
        input_border_color="#8f8a82",
        input_border_color_dark="#6f6b64",
        input_placeholder_color="#6b675f",
        input_placeholder_color_dark="#9a968f",
        button_primary_background_fill="#b4501c",
        button_primary_background_fill_hover="#94400f",
        button_primary_background_fill_dark="#b4501c",
        button_primary_background_fill_hover_dark="#c95f28",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        checkbox_label_background_fill="#f1eee9",
        checkbox_label_background_fill_dark="#272c34",
        checkbox_label_background_fill_hover="#e8e5df",
        checkbox_label_background_fill_hover_dark="#323843",
        slider_color="#b4501c",
        slider_color_dark="#e07a3f",
        checkbox_background_color_selected="#b4501c",
        checkbox_background_color_selected_dark="#b4501c",
        checkbox_label_text_color_selected="*body_text_color",
        checkbox_label_text_color_selected_dark="*body_text_color",
    )
