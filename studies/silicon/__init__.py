"""How far are the modelled joules from measured chips?

The answer is in `README.md`; `python -m studies.silicon` predicts every chip again.

    __main__           predict, and write the tables, the picture and the page
    references         what was measured, and where it was read: chips/*.yaml
    predictions        energies from counts, by the library's ledger
    systems            measured networks under every list that prices memory
    picture            predicted against measured
    tables             the page's tables
    page               the generated part of the page
    price-lists.yaml   price lists that only this study uses
"""
